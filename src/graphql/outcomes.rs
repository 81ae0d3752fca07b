//! stub
#[derive(async_graphql::SimpleObject)]
pub struct Outcomes {
    count: i32,
}
impl From<crate::remediation::outcomes::Outcomes> for Outcomes {
    fn from(o: crate::remediation::outcomes::Outcomes) -> Outcomes {
        Outcomes { count: o.count as i32 }
    }
}
