//! A person as the wire contract tells one, everywhere: with exactly these keys.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{AuthType, Person};
use crate::platform;

/// What there is no home for is empty: there are no organisations, and nobody signs in yet.
#[derive(Serialize)]
struct Told<'a> {
    id: Uuid,
    name: &'a str,
    email_address: &'a str,
    created_at: String,
    auth_type: &'static str,
    current_session_id: (),
    failed_login_count: u8,
    email_access_validated_at: String,
    logged_in_at: (),
    mobile_number: Option<&'a str>,
    organisations: [(); 0],
    password_changed_at: String,
    /// By active service, where there are any.
    permissions: BTreeMap<Uuid, &'a [String]>,
    organisation_permissions: BTreeMap<Uuid, ()>,
    platform_admin: bool,
    /// Active ones.
    services: Vec<Uuid>,
    can_use_webauthn: bool,
    state: &'static str,
    take_part_in_research: bool,
    receives_new_features_email: bool,
}

impl Serialize for Person {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (user, standing) = (&self.user, &self.standing);
        let auth_type = standing.auth_type.unwrap_or(match user.mobile_number {
            Some(_) => AuthType::Sms,
            None => AuthType::Email,
        });
        let permissions = self.services.iter().filter(|(_, permissions)| !permissions.is_empty());
        let told = Told {
            id: user.id,
            name: &user.name,
            email_address: &user.email_address,
            created_at: timestamp(self.created_at),
            auth_type: auth_type.as_str(),
            current_session_id: (),
            failed_login_count: 0,
            email_access_validated_at: timestamp(self.created_at),
            logged_in_at: (),
            mobile_number: user.mobile_number.as_deref(),
            organisations: [],
            // The one time that the wire contract writes so.
            password_changed_at: self.created_at.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
            permissions: permissions
                .map(|(service, permissions)| (*service, permissions.as_slice()))
                .collect(),
            organisation_permissions: BTreeMap::new(),
            platform_admin: standing.platform_admin,
            services: self.services.keys().copied().collect(),
            can_use_webauthn: standing.platform_admin
                || auth_type == AuthType::Webauthn
                || self.services.contains_key(&platform::SERVICE.0),
            state: standing.state.as_str(),
            take_part_in_research: standing.take_part_in_research,
            receives_new_features_email: standing.receives_new_features_email,
        };
        told.serialize(serializer)
    }
}

fn timestamp(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
