//! The platform as one of its own services, and as a user. Made by the migration `people_and_the_platform`; ids are upstream's.

use domain::id::{ServiceId, TemplateId};
use uuid::{Uuid, uuid};

/// Sends what comes from the platform itself: an ordinary service that counts in no team's figures.
pub const SERVICE: ServiceId = ServiceId(uuid!("d6aa2c68-a2d9-4437-ab19-3ae8eb202553"));

/// Stands for whoever is nobody in particular: an operator's tool, a seed.
pub const USER: Uuid = uuid!("6af522d0-2915-4e52-83a3-3690455a5fe6");

/// Of the e-mail that tests an address for replies.
pub const REPLY_TO_TEST: TemplateId = TemplateId(uuid!("a42f1d17-9404-46d5-a647-d013bdfca3e1"));
