//! stub
pub async fn grant(_: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
    Ok(())
}
