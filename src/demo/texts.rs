//! Texts that belong to no family: what people say when they decide, how reports are headed, what messages say.

/// What the trouble means to those who use the service.
pub static IMPACT: &[&str] = &[
    "{service} {role}; while this lasts, {impact}.",
    "For users it means that {impact}.",
    "Effect outside: {impact}.",
    "Since {service} {role}, {impact} until it is solved.",
    "In {cluster} {impact}, other regions are not affected.",
    "Seen from outside, {impact}.",
    "Tickets are coming in: {impact}.",
    "No tickets yet, but {impact} if it goes on.",
];

/// The same where there are no users.
pub static IMPACT_ELSEWHERE: &[&str] = &[
    "This is {environment}: no customer notices, but {impact}.",
    "Only {environment} is affected. {service} {role} elsewhere without trouble.",
    "In {cluster} {impact}.",
    "{service} {role}; here it means that {impact}.",
];

/// What happens outside of production while a service is not well.
pub static TESTING_IMPACT: &[&str] = &[
    "the test suites of several teams fail",
    "testers are blocked",
    "the nightly end-to-end run is red",
    "nobody can demonstrate the new features",
    "releases wait for a green test run",
];

/// Before the way from cause to symptom.
pub static SEQUENCE: &[&str] =
    &["How it came about:", "The chain of events:", "In order:", "From the beginning:", "What led to what:"];

pub static HEADINGS: &[[&str; 4]] = &[
    ["Summary", "Evidence", "Root cause", "Recommendation"],
    ["What happened", "What we looked at", "Why", "What to do"],
    ["Symptom", "Findings", "Assessment", "Proposed action"],
    ["Situation", "Observations", "Conclusion", "Next step"],
];

pub static LABELS: &[[&str; 5]] = &[
    ["Symptom.", "Seen:", "Cause.", "Not the cause:", "Proposal."],
    ["What:", "Evidence:", "Why:", "Ruled out:", "Do:"],
    ["Problem:", "Facts:", "Reading:", "Checked and fine:", "Action:"],
];

/// Instead of a recommendation.
pub static ASK_A_PERSON: &[&str] = &[
    "No workflow is recommended. Somebody who knows {service} should look before anything is changed.",
    "Handing over: the catalogue has no workflow for what is left after ruling out the usual causes.",
    "A person has to decide here. What was collected is attached, {pod} was left running for inspection.",
];

/// Where nothing is left to do.
pub static NOTHING_TO_DO: &[&str] = &[
    "No action is recommended.",
    "Nothing to remediate; the alert may be closed.",
    "Leave as it is. If the alert comes back within a day, investigate again.",
];

/// The end of an on-call note.
pub static CLOSINGS: &[&str] =
    &["-> {environment}, {service}/{cluster}.", "({service}, {namespace})", "Pod looked at: {pod}.", ""];

/// What people write when they agree.
pub static AGREED: &[&str] = &[
    "go ahead",
    "ok, {service} is mine, please do",
    "Approved. I am watching the {service} dashboard meanwhile.",
    "Looks right, same as last week. Go.",
    "Fine by me{, but leave {pod2} alone until I have taken a dump|. Ping me when it is done|}.",
    "Agreed. Checked {node} by hand, it matches the report.",
    "Yes. {impact_now}, we do not wait for the window.",
    "Approved after a look at the graphs, evidence is convincing.",
    "lgtm",
    "Do it. {namespace} on-call is informed.",
    "OK for {cluster} only. The other regions stay as they are for now.",
    "Approving, though the real fix is a ticket for the team.",
    "+1, the alternative is worse",
    "Confirmed with the owners of {dependency}, no objection.",
];

pub static REFUSED: &[&str] = &[
    "Not now: we are in the middle of a migration of {database}. I take it from here by hand.",
    "Wrong cause I think. {dependency} was deployed at the same time and nobody looked at it.",
    "No change in {namespace} during the freeze, please wait until tomorrow morning.",
    "The evidence is thin. Get me a second look before this touches {environment}.",
];

/// Why policy wants a person.
pub static ASKING: &[&str] = &[
    "policy: {environment} changes of this type need a person",
    "confidence {confidence} is below the threshold of 0.80 for {environment}",
    "the action changes a resource that the team of {namespace} has marked as sensitive",
    "the on-call of {namespace} wants to agree to every action of this type",
];

/// Why a person called it off.
pub static CALLED_OFF: &[&str] =
    &["the team had begun a rollback by hand already", "planned maintenance, the alert should have been silenced"];

/// Why an analysis failed: the message and its code.
pub static ANALYSIS_FAILURES: &[(&str, &str)] = &[
    ("the agent's answer could not be read after three attempts: `selectedWorkflow` is missing", "ERR_LLM_PARSING"),
    ("the investigation ran out of its budget of 40 tool calls without reaching a conclusion", "ERR_BUDGET_TOOLS"),
    ("prometheus did not answer within 30 s, five queries in a row; nothing to reason from", "ERR_TIMEOUT_TOOL"),
    ("the model's endpoint returned 529 for eleven minutes, gave up at the analysing time limit", "ERR_LLM_OVERLOADED"),
];

/// Patterns that an assessment sees over several remediations, and the word for their kind.
pub static PATTERNS: &[(&str, &str)] = &[
    ("recurs within a day of a rollout of {service}", "after_rollout"),
    ("most cases fall between 02:00 and 04:00 UTC, when the nightly jobs of {namespace} run", "time_of_day"),
    ("seen on Mondays in four of five weeks", "day_of_week"),
    ("follows work on {dependency} by one to three hours", "after_dependency_change"),
    ("comes back at the end of each month with the billing run", "day_of_month"),
];

/// What the agent asks its tools, and what it gets in short.
pub static TOOL_CALLS: &[(&str, &str, &str)] = &[
    ("kubectl_describe", "{kind}/{target}", "conditions and the last 20 events; newest event is {minutes} minutes old"),
    ("kubectl_logs", "{pod} --previous --tail=200", "200 lines, 31 of level WARN or above"),
    (
        "prometheus_range_query",
        "rate(container_cpu_usage_seconds_total[5m]) by pod in {namespace}",
        "18 series over \
        2 h",
    ),
    ("prometheus_range_query", "container_memory_working_set_bytes of {service}", "{replicas} series over 6 h"),
    ("kubectl_get_events", "--namespace {namespace} --sort-by lastTimestamp", "42 events, 17 of type Warning"),
    ("remediation_history", "target={target}", "earlier remediations of the same target within 90 days"),
    ("rollout_history", "{service}", "{version} since {earlier}, before it {previous}"),
    ("kubectl_top", "pods -n {namespace}", "{replicas} pods of {service}, {ready} of them ready"),
    ("node_conditions", "{node}", "Ready, with the pressure conditions and their last transitions"),
    ("loki_query", "|= \"error\" by pod, last 30m", "error lines per pod, {pod} has most of them"),
];

/// Subject and body of a message that asks for a decision.
pub static ASKING_MESSAGES: &[(&str, &str)] = &[
    (
        "Approval needed: {workflow} on {target} ({cluster})",
        "{summary}\n\nProposed: {workflow}, confidence \
        {confidence}. Please decide by {required_by} UTC.",
    ),
    (
        "[{priority}] decide on {workflow} for {service}",
        "Cause: {summary}\nWhy a person: {asking}\nUntil: \
        {required_by} UTC, after that nothing is done.",
    ),
    ("{service}: may I run {workflow}?", "{rationale}\n\nReply approve or reject before {required_by} UTC."),
];

/// Subject and body of a message that says it is over.
pub static DONE_MESSAGES: &[(&str, &str)] = &[
    ("Resolved: {signal} on {target}", "{workflow} finished in {cluster}. {summary}"),
    ("{service} remediated ({workflow})", "What it was: {summary}\nWhat was done: {workflow}, all steps completed."),
    ("[{priority}] {target}: remediation complete", "{rationale} Done; the effect is being watched."),
];

/// Subject and body of a message that hands over to people.
pub static HANDOVER_MESSAGES: &[(&str, &str)] = &[
    (
        "Please take over: {signal} on {target}",
        "The remediation ended without a result: {why}\n\nWhat is known: \
        {summary}",
    ),
    ("Escalation: {service} in {cluster}", "{why}. {summary}"),
    ("[{priority}] {target} needs a person", "Reason: {why}. While nothing is done, {impact}."),
];

/// Subject and body of a plain note.
pub static NOTE_MESSAGES: &[(&str, &str)] = &[
    ("No action: {signal} on {target}", "{why}"),
    ("{target}: remediation not carried out", "{why}. Signal: {signal} in {cluster}."),
];
