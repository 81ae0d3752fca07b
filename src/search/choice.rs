//! Which documents are embedded.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice(Vec<String>);

impl Default for Choice {
    fn default() -> Choice {
        Choice(
            [
                "AI_ANALYSIS",
                "WORKFLOW_EXECUTION",
                "SIGNAL_PROCESSING",
                "EFFECTIVENESS",
                "OTHER.signal",
                "ORCHESTRATION.signal",
                "REMEDIATION",
            ]
            .map(str::to_string)
            .to_vec(),
        )
    }
}

impl Choice {
    pub fn words(&self) -> &[String] {
        &self.0
    }

    pub fn text(&self) -> String {
        self.0.join(",")
    }
}
