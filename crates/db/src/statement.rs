//! SQL that is written out by hand and prepared once per connection.
//!
//! diesel caches neither `sql_query` nor batch `VALUES` as prepared statements; a `QueryFragment` with a static `QueryId`
//! it does. The hot path is a handful of such statements over `UNNEST`ed arrays, each in the module that owns it.

use std::fmt;

use diesel::{
    pg::Pg,
    serialize::{self, Output, ToSql},
    sql_types::Text,
};

/// A text that somebody else made up, as a bind. Postgres has no room for NUL; that is the one value which could reach it and
/// would be refused with a code that diesel has no kind for, so it is refused here, where the error says what it is.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a>(pub(crate) &'a str);

impl fmt::Debug for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be personal data.
        f.write_str("Words")
    }
}

impl ToSql<Text, Pg> for Words<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        if self.0.contains('\0') {
            return Err("a text with NUL".into());
        }
        ToSql::<Text, Pg>::to_sql(self.0, out)
    }
}

/// Declares a statement: a struct of binds and its SQL, in which each `?` stands for the next bind, in order.
/// A `?` operator cannot be used; none of ours needs one.
macro_rules! statement {
    ($(#[$meta:meta])* $name:ident { $($bind:ident: $ty:ty => $sql_type:ty,)* } -> ($($column:ty),* $(,)?), $sql:expr) => {
        $(#[$meta])*
        struct $name<'a> { $($bind: $ty,)* _binds: std::marker::PhantomData<&'a ()> }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name<'_> {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                let mut pieces = ($sql).split('?');
                out.push_sql(pieces.next().unwrap_or_default());
                $(
                    out.push_bind_param::<$sql_type, _>(&self.$bind)?;
                    out.push_sql(pieces.next().unwrap_or_default());
                )*
                debug_assert!(pieces.next().is_none(), "as many binds as question marks");
                Ok(())
            }
        }

        impl diesel::query_builder::Query for $name<'_> {
            type SqlType = ($($column,)*);
        }

        impl diesel::RunQueryDsl<diesel::PgConnection> for $name<'_> {}
    };
}

pub(crate) use statement;
