//! Which documents are embedded.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice(Vec<String>);

impl Choice {
    pub fn words(&self) -> &[String] {
        &self.0
    }

    pub fn text(&self) -> String {
        self.0.join(",")
    }
}
