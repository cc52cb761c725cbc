//! The closed enums of `domain` as Postgres enums. Both sides carry the same words; `tests/it/schema.rs` compares the lists.

use std::io::Write;

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
};

use crate::schema::sql_types;

macro_rules! pg_enums {
    ($($name:ident: $domain:ty = $sql:ty;)+) => {$(
        /// The enum of `domain` on its way to or from Postgres.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, AsExpression, FromSqlRow)]
        #[diesel(sql_type = $sql)]
        pub(crate) struct $name(pub $domain);

        impl ToSql<$sql, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                out.write_all(self.0.as_str().as_bytes())?;
                Ok(IsNull::No)
            }
        }

        impl FromSql<$sql, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                Ok(Self(std::str::from_utf8(value.as_bytes())?.parse()?))
            }
        }

        impl From<$name> for $domain {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    )+};
}

pg_enums! {
    PgChannel: domain::status::Channel = sql_types::Channel;
    PgKeyType: domain::status::KeyType = sql_types::KeyType;
    PgStatus: domain::status::Status = sql_types::NotificationStatus;
    PgProvider: domain::status::ProviderId = sql_types::Provider;
    PgPermission: crate::service::Permission = sql_types::ServicePermission;
}
