//! SQL that is written out by hand and prepared once per connection.
//!
//! diesel caches neither `sql_query` nor batch `VALUES` as prepared statements; a `QueryFragment` with a static `QueryId`
//! it does. The hot path is a handful of such statements over `UNNEST`ed arrays, each in the module that owns it.

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
