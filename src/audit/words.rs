//! The closed sets: which words a field may hold. A word is accepted in any case and with `-`, `_` or nothing between
//! its parts, and is stored in the one spelling listed here.

/// A closed set. `name` is its enum in GraphQL, whose values are the words in capitals.
#[derive(Debug)]
pub struct Words {
    pub name: &'static str,
    pub meaning: &'static str,
    /// Each word as it is stored, and what it means.
    pub words: &'static [(&'static str, &'static str)],
    /// Other spellings that are in use, and the word each stands for.
    pub aliases: &'static [(&'static str, &'static str)],
}

impl Words {
    /// The stored spelling of `text`, or `None` when the set does not hold it.
    pub fn find(&self, text: &str) -> Option<&'static str> {
        if let Some((word, _)) = self.words.iter().find(|(word, _)| *word == text) {
            return Some(word);
        }
        let plain_text = plain(text);
        let listed = self.words.iter().find(|(word, _)| plain(word) == plain_text).map(|(word, _)| *word);
        listed.or_else(|| self.aliases.iter().find(|(alias, _)| plain(alias) == plain_text).map(|(_, word)| *word))
    }

    /// The words as a sentence part: `completed, failed, degraded`.
    pub fn listed(&self) -> String {
        self.words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
    }
}

/// A word without case and separators, so that `auto-approved`, `AutoApproved` and `AUTO_APPROVED` are one.
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A word as GraphQL's enums spell it: `auto_approved` is `AUTO_APPROVED`.
pub fn enum_value(word: &str) -> String {
    word.to_uppercase().replace('-', "_")
}

macro_rules! words {
    ($($constant:ident $name:literal $meaning:literal
        [ $($word:literal $word_meaning:literal),+ $(,)? ]
        $(also [ $($alias:literal => $target:literal),+ $(,)? ])? ;)+) => {
        $(
            #[doc = $meaning]
            pub static $constant: Words = Words {
                name: $name,
                meaning: $meaning,
                words: &[$(($word, $word_meaning)),+],
                aliases: &[$($(($alias, $target)),+)?],
            };
        )+

        /// Every closed set.
        pub static ALL: &[&Words] = &[$(&$constant),+];
    };
}

words! {
    SEVERITY "Severity" "How bad the signal is." [
        "critical" "Service is lost or about to be.",
        "high" "Serious, not yet lost.",
        "medium" "Noticeable.",
        "warning" "Heading the wrong way.",
        "low" "Minor.",
        "info" "Worth knowing.",
        "unknown" "The source did not say.",
    ];
    OUTCOME "Outcome" "How the recorded step ended, as its writer says." [
        "success" "It did what it should.",
        "failure" "It did not do what it should.",
        "pending" "It has not ended yet.",
    ] also ["succeeded" => "success", "failed" => "failure"];
    ACTOR_TYPE "ActorType" "What sort of actor acted." [
        "service" "A controller or another program.",
        "user" "A person.",
        "ai" "A model or an agent.",
        "system" "The platform itself.",
        "external" "Something outside the cluster.",
    ];
    OVERALL_PHASE "OverallPhase" "Where the orchestrator says the remediation stands." [
        "pending" "Accepted, not begun.",
        "processing" "The signal is being enriched and classified.",
        "analyzing" "The cause is being sought.",
        "awaiting_approval" "A person has to decide.",
        "executing" "The workflow runs.",
        "verifying" "The effect is being checked.",
        "blocked" "Held back by a routing rule.",
        "completed" "Ended as planned.",
        "failed" "Ended with a failure.",
        "timed_out" "Ended by a time limit.",
        "skipped" "Not carried out, on purpose.",
        "cancelled" "Called off by a person.",
    ] also ["timeout" => "timed_out", "canceled" => "cancelled"];
    CRD_OUTCOME "CompletionOutcome" "What the orchestrator says came of the remediation." [
        "remediated" "The workflow ran and the problem is dealt with.",
        "no_action_required" "Nothing had to be done.",
        "manual_review_required" "Handed to people.",
        "verification_timed_out" "Carried out, but its effect could not be verified in time.",
        "inconclusive" "Carried out, its effect is unclear.",
        "dry_run" "Only tried, nothing was changed.",
    ] also ["manual_review" => "manual_review_required"];
    PHASE_NAME "PhaseName" "A phase in which a remediation spends its time." [
        "intake" "From the signal to the first work on it.",
        "signal_processing" "Enriching and classifying the signal.",
        "ai_analysis" "Finding the cause and a remedy.",
        "approval_wait" "Waiting for a person's decision.",
        "workflow_execution" "Carrying the remedy out.",
        "verification" "Checking the effect.",
        "notification" "Telling people.",
    ] also ["approval" => "approval_wait"];
    PROPAGATION_ACTION "PropagationAction" "What was done to a child resource." [
        "create" "It was created.",
        "update" "It was changed.",
        "delete" "It was deleted.",
    ] also ["created" => "create", "updated" => "update", "deleted" => "delete"];
    RESULT "PropagationResult" "Whether that worked." [
        "success" "It worked.",
        "failure" "It failed.",
    ] also ["succeeded" => "success", "failed" => "failure"];
    APPROVAL_DECISION "ApprovalDecision" "What was decided about an approval." [
        "pending" "Nobody has decided yet.",
        "approved" "A person agreed.",
        "rejected" "A person refused.",
        "expired" "Nobody decided in time.",
        "auto_approved" "Policy agreed without a person.",
    ] also ["auto" => "auto_approved"];
    APPROVAL_METHOD "ApprovalMethod" "How the decision was given." [
        "console" "In a console.",
        "slack" "In Slack.",
        "api" "Through an API.",
    ];
    PROCESSING_STATUS "SignalProcessingStatus" "Where signal processing stands." [
        "pending" "Not begun.",
        "enriching" "Collecting context.",
        "classifying" "Deciding environment and priority.",
        "categorizing" "Deciding business impact.",
        "routing" "Choosing the next service.",
        "completed" "Done.",
        "failed" "Given up.",
        "degraded" "Done with less context than wanted.",
    ];
    PROCESSING_PHASE "ProcessingPhaseName" "A step of signal processing." [
        "enriching" "Collecting context.",
        "classifying" "Deciding environment and priority.",
        "categorizing" "Deciding business impact.",
        "routing" "Choosing the next service.",
    ];
    CLASSIFICATION_METHOD "ClassificationMethod" "How the environment was found." [
        "namespace-label" "From a label of the namespace.",
        "pattern" "From a naming pattern.",
        "fallback" "By default, for nothing else told it.",
    ];
    PRIORITY "Priority" "Business priority, `P0` the most urgent." [
        "P0" "Drop everything.",
        "P1" "Urgent.",
        "P2" "Soon.",
        "P3" "In turn.",
        "P4" "When convenient.",
    ];
    CRITICALITY "Criticality" "How much the business depends on the target." [
        "critical" "The business stops without it.",
        "high" "The business suffers without it.",
        "medium" "The business notices when it is gone.",
        "warning" "The business may notice when it is gone.",
        "low" "The business hardly notices when it is gone.",
    ];
    SIGNAL_MODE "SignalMode" "Whether it happened or is predicted." [
        "reactive" "It tells what happened.",
        "proactive" "It tells what is predicted.",
    ];
    ANALYSIS_STATUS "AiAnalysisStatus" "Where the analysis stands." [
        "pending" "Not begun.",
        "investigating" "Collecting evidence.",
        "analyzing" "Weighing it.",
        "recommending" "Choosing a remedy.",
        "completed" "Done.",
        "failed" "Given up.",
        "timeout" "Ended by a time limit.",
    ] also ["timed_out" => "timeout"];
    HUMAN_REVIEW_REASON "HumanReviewReason" "Why the analysis wants a person to look." [
        "workflow_not_found" "The chosen workflow does not exist.",
        "image_mismatch" "Its image is not the registered one.",
        "parameter_validation_failed" "Its parameters are not valid.",
        "no_matching_workflows" "No workflow fits.",
        "low_confidence" "The confidence is too low.",
        "llm_parsing_error" "The model's answer could not be read.",
        "investigation_inconclusive" "No cause was found.",
        "rca_incomplete" "The root cause analysis is incomplete.",
        "alignment_check_failed" "The answer failed the alignment check.",
        "decision_expired" "Nobody decided in time.",
    ];
    EXECUTION_STATUS "WorkflowExecutionStatus" "Where the execution stands." [
        "pending" "Not begun.",
        "running" "Running.",
        "completed" "Done.",
        "failed" "Failed.",
        "timeout" "Ended by a time limit.",
    ] also ["timed_out" => "timeout"];
    EXECUTION_OUTCOME "ExecutionOutcome" "What came of the execution." [
        "success" "Every step did what it should.",
        "failed" "It failed.",
        "partial" "Some steps did what they should.",
        "timeout" "It was ended by a time limit.",
    ] also ["succeeded" => "success", "failure" => "failed", "timed_out" => "timeout"];
    STEP_STATUS "StepStatus" "Where a step stands." [
        "pending" "Not begun.",
        "running" "Running.",
        "completed" "Done.",
        "failed" "Failed.",
        "skipped" "Left out.",
        "rolled_back" "Done, then undone.",
        "timeout" "Ended by a time limit.",
    ] also ["success" => "completed", "succeeded" => "completed", "timed_out" => "timeout"];
    ADJUSTMENT_TYPE "AdjustmentType" "How a running workflow was adjusted." [
        "timeout" "A time limit was changed.",
        "retry" "A step was tried again.",
        "skip" "A step was left out.",
    ];
    EXECUTION_FAILURE "ExecutionFailureReason" "Why an execution failed." [
        "oom_killed" "It ran out of memory.",
        "deadline_exceeded" "It ran out of time.",
        "forbidden" "It was not permitted to do what it tried.",
        "image_pull_back_off" "Its image could not be pulled.",
        "configuration_error" "Its configuration is wrong.",
        "resource_exhausted" "The cluster had no resources left for it.",
        "task_failed" "One of its tasks failed.",
        "unsupported_engine" "There is no engine that can run it.",
        "deduplicated" "Another execution did the same.",
        "unknown" "The engine does not say.",
    ];
    NOTIFICATION_STATUS "NotificationStatus" "Where the notification stands." [
        "pending" "Not sent yet.",
        "sending" "Being sent.",
        "retrying" "To be tried again.",
        "sent" "Handed to the channel.",
        "partially_sent" "Handed to some channels.",
        "delivered" "Delivered.",
        "failed" "Given up.",
        "acknowledged" "A person has seen it.",
        "escalated" "Passed on to others.",
        "cancelled" "Called off.",
    ] also ["canceled" => "cancelled"];
    CHANNEL "NotificationChannel" "Where people are told." [
        "slack" "A message in Slack.",
        "pagerduty" "An incident in PagerDuty.",
        "email" "An e-mail.",
        "webhook" "A call of a webhook.",
        "teams" "A message in Microsoft Teams.",
        "sms" "A text message to a phone.",
        "console" "A line on a console.",
        "file" "A line in a file.",
        "log" "A line in a log.",
    ];
    NOTIFICATION_TYPE "NotificationType" "What the message is for." [
        "alert" "Something is wrong.",
        "escalation" "Somebody else has to look.",
        "resolution" "It is over.",
        "status_update" "How it goes.",
        "approval" "A decision is wanted.",
        "manual_review" "A person has to look.",
        "completion" "The remediation has ended.",
        "simple" "A plain message.",
    ];
    DELIVERY_STATUS "DeliveryStatus" "How delivery went over all channels." [
        "success" "All channels.",
        "partial" "Some channels.",
        "failed" "No channel.",
    ];
    ASSESSMENT_STATUS "AssessmentStatus" "Where the assessment stands." [
        "scheduled" "To be made later.",
        "assessing" "Being made.",
        "assessed" "Made.",
        "insufficient_data" "Ended without enough data.",
        "expired" "Its validity window passed first.",
    ] also ["completed" => "assessed"];
    TREND "TrendDirection" "Where effectiveness is heading." [
        "improving" "Better than before.",
        "declining" "Worse than before.",
        "stable" "As before.",
        "insufficient_data" "Too few cases to say.",
    ];
    DATA_QUALITY "DataQuality" "How far the data carries." [
        "sufficient" "There is enough data to rely on.",
        "limited" "There is some data: take it with care.",
        "insufficient" "There is too little data to say anything.",
    ];
    IMPACT "SideEffectSeverity" "How bad the side effects are." [
        "none" "There are none.",
        "low" "Minor.",
        "medium" "Noticeable.",
        "high" "Serious.",
    ];
    ASSESSMENT_REASON "AssessmentReason" "Why the assessment ended." [
        "full" "All components were assessed.",
        "partial" "Some components were assessed.",
        "spec_drift" "The target was changed by somebody else.",
        "expired" "The validity window passed.",
        "no_execution" "Nothing was carried out.",
        "metrics_timed_out" "Metrics did not arrive in time.",
        "alert_decay_timeout" "The alert did not decay in time.",
        "unrecoverable" "It cannot be assessed.",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_any_spelling_and_stored_in_one() {
        for spelling in ["auto_approved", "auto-approved", "AutoApproved", "AUTO_APPROVED"] {
            assert_eq!(APPROVAL_DECISION.find(spelling), Some("auto_approved"));
        }
        assert_eq!(OVERALL_PHASE.find("timeout"), Some("timed_out"));
        assert_eq!(OVERALL_PHASE.find("done"), None);
    }

    #[test]
    fn every_alias_stands_for_a_word_of_its_set_and_no_word_is_listed_twice() {
        for set in ALL {
            for (alias, word) in set.aliases {
                assert!(set.words.iter().any(|(listed, _)| listed == word), "{alias} of {}", set.name);
            }
            for (index, (word, _)) in set.words.iter().enumerate() {
                assert!(set.words[..index].iter().all(|(other, _)| plain(other) != plain(word)), "{word}");
            }
        }
    }
}
