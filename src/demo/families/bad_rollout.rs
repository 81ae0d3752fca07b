//! Incidents that begin with a release of the workload itself.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "bad-rollout",
    weight: 4,
    severities: &["critical", "high", "warning"],
    signals: &[
        Signal {
            name: "KubeDeploymentRolloutStuck",
            source: "prometheus",
            summary: "Rollout of {service} {version} makes no progress",
            description: "The new replica set of {service} has {ready} of {replicas} pods available after {waited} \
                minutes. Progress deadline exceeded.",
        },
        Signal {
            name: "HighErrorRate",
            source: "prometheus",
            summary: "{service} answers {errors} % of requests with 5xx",
            description: "The share of failed requests of {service} rose from {before} % to {errors} % within \
                {spread} minutes. Threshold is 2 %.",
        },
        Signal {
            name: "LatencyBudgetBurn",
            source: "prometheus",
            summary: "{service}: p95 latency {slow} ms",
            description: "p95 of {service} went from {fast} ms to {slow} ms. At this rate the monthly error budget \
                is gone in {budget} hours.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "{dependency} answers as quickly as before, so the trouble is on this side of the call.",
        "No change of load: the request rate follows last {weekday}'s curve.",
        "Nodes, network and DNS show nothing unusual in the same minutes.",
        "Memory and CPU of {service} are where they always are.",
    ],
    passed: &[
        "The pipeline of the team noticed by itself and put {previous} back two minutes after the alert. Errors are \
            at {before} % again; nothing is left to do.",
        "The spike belonged to the warm-up of the new pods. Once all {replicas} were in rotation the figures \
            returned to {fast} ms and {before} %.",
    ],
    unclear: &[
        "{service} {version} and {dependency} were both deployed at {earlier}. Errors are found on both sides of the \
            call, and the traces are sampled too thinly to say which came first.",
        "The error rate rose eleven minutes before the rollout reached its first pod. The release may only have made \
            visible what was there already.",
    ],
    refusals: &[
        (
            "rollback-deployment",
            "A rollback would undo the schema change of this release. We roll forward, the fix \
            is in the pipeline.",
        ),
        (
            "rollback-deployment",
            "{version} contains the payment fix we promised for today. Scale the canary down, \
            but do not go back.",
        ),
    ],
    causes: &[
        Cause {
            name: "regression",
            place: Place::Workload,
            runtimes: &[],
            signals: &["HighErrorRate"],
            summary: &[
                "{service} {version} introduced a defect in request handling: every call that carries {trait} ends \
                    in an unhandled exception, {errors} % of the traffic.",
                "A regression in {version} of {service}. Requests with {trait} fail with status 500 since the \
                    release at {earlier}.",
            ],
            openings: &[
                "{minutes} minutes after {service} {version} went out, {errors} % of its answers are errors. \
                    {previous} had {before} %.",
                "The release of {earlier} broke {service}. It {role}, so {impact}.",
                "Error rate and deployment marker line up to the minute: as pods of the new replica set enter \
                    rotation the failures rise in steps of one pod's share.",
            ],
            evidence: &[
                "stack traces on new pods only: null dereference in the handler that was rewritten in {version}",
                "{errors} % 5xx on {version}, {before} % on the {previous} pods that are left",
                "all failing requests carry {trait}; without it the new version answers correctly",
                "canary analysis was skipped, the rollout went from 0 to 100 % in {spread} minutes",
                "pods are healthy by their probes: the health endpoint does not pass through the defective code",
                "support has seen the first complaints at {clock}",
            ],
            logs: &[
                "[{clock}:12] ERROR unhandled exception in request handler\n  caused by: field is null: \
                    discount.window\n  at handler/apply (build {version})",
                "[{clock}:40] \"POST /v2\" 500 {slow}ms ver={version} pod={pod}\n[{clock}:40] \"POST /v2\" 200 \
                    {fast}ms ver={previous} pod={pod2}",
            ],
            reasoning: &[
                "Both versions ran side by side for {spread} minutes under the same load, with the same data and the \
                    same neighbours. Only one of them fails, so {the build is what differs|the code is to blame}.",
                "An outage of {dependency} would hit old and new pods alike. It does not.",
            ],
            notes: &[
                "{version} is bad. {errors}% 5xx, old pods clean. Roll back, then look at {trait}.",
                "regression in {service}: new RS throws, old RS fine, same traffic. Back to {previous}.",
            ],
            chain: &[
                "{version} of {service} is rolled out without a canary",
                "the rewritten handler does not expect {trait}",
                "each such request ends in an exception and a 500",
                "the error rate passes the alert's threshold",
            ],
            factors: &[
                "No test covers {trait}",
                "Canary analysis was switched off for the release",
                "The probe does not touch the request path",
            ],
            remedies: &[Remedy {
                workflow: "rollback-deployment",
                odds: 95,
                rationale: &[
                    "{previous} is proven, its image is still on every node, and going back takes about a minute.",
                    "Undoing the release removes the defect; forward fixes take the team at least an hour.",
                ],
                helped: &[
                    "Errors fell to {before} % as soon as the last {version} pod had gone. Latency is back at {fast} \
                        ms.",
                    "With {previous} in place no further exception was logged. The alert cleared on its next \
                        evaluation.",
                ],
                not_helped: &["{previous} fails in the same way: a migration that ran with {version} had already \
                    changed the data it reads. Rolling the code back does not roll the table back."],
                side_effect: "Events written by {version} in between cannot be read by {previous} and wait in {queue}.",
            }],
            alternatives: &[
                ("restart-pods", "restarting runs the same build again"),
                ("scale-out", "more pods of a defective version produce more errors"),
                ("shed-load", "turning customers away is worse than going back one version"),
            ],
        },
        Cause {
            name: "incompatible-schema",
            place: Place::Workload,
            runtimes: &[],
            signals: &["KubeDeploymentRolloutStuck"],
            summary: &[
                "{service} {version} expects a column that {database} does not have yet: the migration step was left \
                    out, so each query of the new code fails.",
                "Code and schema are out of step. {version} selects `valid_until` from {database}, where the \
                    migration has not been applied in {cluster}.",
            ],
            openings: &[
                "New pods of {service} start, connect, and then fail on their first query. {ready} of {replicas} are \
                    available and the rollout hangs.",
                "The release assumes a newer {database} than the one it finds in {cluster}.",
                "{service} {version} works in staging and not here. The difference is a migration.",
            ],
            evidence: &[
                "`ERROR: column \"valid_until\" does not exist` in every query of the new replica set",
                "schema_version in {database} is two behind what {version} declares",
                "the migration job of the release ended with exit code 0 after 2 s without having done anything: its \
                    selector matched no database",
                "staging was migrated by hand a week ago",
                "old pods continue to serve, the rollout's surge keeps {ready} of them alive",
            ],
            logs: &[
                "[{clock}:03] FATAL query failed: column \"valid_until\" does not exist (SQLSTATE \
                    42703)\n[{clock}:03] readiness: database check failed",
                "migrate: 0 migrations to apply\nmigrate: done in 2.1s",
            ],
            reasoning: &[
                "The error names the missing column and the version table confirms it. The job that should have \
                    added it reported success for having found nothing to do.",
                "Nothing is wrong with the build as such, it simply came before its migration.",
            ],
            notes: &[
                "42703 on new pods. Migration never ran in {cluster} (job matched nothing). Undo rollout, run \
                    migration, redeploy.",
                "schema behind code. {database} lacks valid_until. Roll back first.",
            ],
            chain: &[
                "the migration job matches no database and reports success",
                "{version} starts against the old schema",
                "its first query fails and readiness never turns true",
                "the rollout stalls with {ready} of {replicas} pods",
            ],
            factors: &[
                "Success of the migration job is judged by its exit code alone",
                "Staging had been migrated by hand",
            ],
            remedies: &[Remedy {
                workflow: "rollback-deployment",
                odds: 90,
                rationale: &["{previous} fits the schema that is there. The migration can then be applied in peace \
                    and the release repeated."],
                helped: &[
                    "All {replicas} pods of {previous} are ready, no failed query since. The team has the migration \
                        on its list.",
                    "The rollout was taken back and availability is complete again.",
                ],
                not_helped: &["The migration was applied by somebody at the very moment of the rollback; now \
                    {previous} trips over the renamed column. Both versions fail in turn."],
                side_effect: "The feature flag that belongs to {version} stayed on and shows an empty page to a few \
                    users.",
            }],
            alternatives: &[
                ("restart-pods", "the column will be missing after the restart as well"),
                ("increase-memory-limit", "memory is not involved"),
            ],
        },
        Cause {
            name: "slow-build",
            place: Place::Workload,
            runtimes: &[],
            signals: &["LatencyBudgetBurn"],
            summary: &[
                "{service} {version} makes {fanout} calls to {dependency} per request where one was enough; p95 \
                    latency rose from {fast} to {slow} ms.",
                "A change in {version} turned one batched look-up into {fanout} single ones. {service} is correct \
                    but slow, and callers run into their time limits.",
            ],
            openings: &[
                "{service} is slow since {earlier}: p95 at {slow} ms instead of {fast} ms. There are hardly any \
                    errors, it just takes too long.",
                "Response times of {service} have gone up {minutes} minutes ago and stay there. CPU is idle, threads \
                    are waiting.",
                "Users call it an outage, the graphs call it latency: requests that took {fast} ms take {slow} ms.",
            ],
            evidence: &[
                "traces of {version} show {fanout} sequential spans to {dependency}, those of {previous} a single one",
                "outgoing requests per incoming request: 1.0 before {earlier}, {fanout} after",
                "CPU at 11 %, no throttling, garbage collection normal",
                "{dependency} itself answers within 9 ms, unchanged, though it is asked far more often",
                "time spent waiting in the client's connection pool: 80 % of the request",
            ],
            logs: &["[{clock}:55] WARN  slow request {slow}ms, {fanout} calls to {dependency}\n[{clock}:55] \
                WARN  pool wait 412ms"],
            reasoning: &[
                "Each call is fast; there are merely too many of them in a row. Since the number changed with the \
                    release and nothing else did, the loop around the look-up is the reason.",
                "More capacity would not shorten a chain of sequential calls.",
            ],
            notes: &[
                "N+1 calls to {dependency} in {version}. p95 {fast}->{slow}. Revert.",
                "not errors, latency. {fanout} spans instead of 1 since the release. {previous} please.",
            ],
            chain: &[
                "{version} replaces the batched look-up by one per item",
                "{fanout} sequential calls add up to {slow} ms",
                "callers time out and try again",
                "the extra tries fill the connection pool",
            ],
            factors: &["The benchmark of the pipeline uses baskets with one item", "No alert on calls per request"],
            remedies: &[Remedy {
                workflow: "rollback-deployment",
                odds: 92,
                rationale: &["Going back to {previous} restores the batched call. A correct fix needs a new build."],
                helped: &[
                    "p95 is at {fast} ms again, calls per request at 1.0.",
                    "Latency fell within a minute of the rollback and the queue of waiting requests drained.",
                ],
                not_helped: &["Latency stayed at {slow} ms after the return to {previous}; the traces now show the \
                    time inside {dependency}. The release was a bystander."],
                side_effect: "For three minutes both versions wrote the cache in different formats, {errors} % of \
                    look-ups missed it.",
            }],
            alternatives: &[
                ("scale-out", "waiting threads are not short of pods"),
                ("increase-cpu-limit", "CPU is at 11 %"),
                ("adjust-pool-size", "a larger pool hides the fan-out and moves the load to {dependency}"),
            ],
        },
        Cause {
            name: "feature-flag",
            place: Place::Workload,
            runtimes: &[],
            signals: &["HighErrorRate"],
            summary: &[
                "Not the build but a flag: a switch in the configuration of {service} was turned on for everybody at \
                    {earlier} and sends requests down a path that was never finished.",
                "The configuration change of {earlier} enabled an experimental code path of {service} for all users; \
                    {errors} % of requests fail there.",
            ],
            openings: &[
                "Errors on {service} without any rollout: image and replica set are nine days old. What changed is a \
                    line of configuration.",
                "{errors} % of requests to {service} fail since {earlier}. The deployment history is empty, the \
                    config history is not.",
            ],
            evidence: &[
                "ConfigMap of {service} was changed at {earlier}, one key: `experiments.newFlow` from 5 to 100",
                "failing requests all pass through the new flow; with the flag off the same input succeeds",
                "pods did not restart, they re-read the file {spread} s after the change",
                "the experiment ran at 5 % for a week with a failure share nobody looked at",
            ],
            logs: &["[{clock}:01] INFO  config reloaded, experiments.newFlow=100\n[{clock}:04] ERROR not \
                implemented: partial refunds in new flow"],
            reasoning: &[
                "The one event before the rise is the reload of configuration, and the share of errors follows the \
                    share of users in the experiment.",
                "A rollback of the image would leave the flag where it is.",
            ],
            notes: &[
                "flag, not deploy. newFlow 5 -> 100 at {earlier}. Put config back.",
                "no rollout today. Config reload, then 5xx. Restore previous ConfigMap.",
            ],
            chain: &[
                "the experiment is opened to all users",
                "{service} reloads its configuration without restart",
                "requests enter an unfinished path and fail",
            ],
            factors: &["Flags are changed without review", "Failures inside the experiment were not counted apart"],
            remedies: &[Remedy {
                workflow: "restore-config",
                odds: 94,
                rationale: &["Restoring the ConfigMap's previous revision turns the experiment back to 5 % at once, \
                    no new pods needed."],
                helped: &[
                    "With the flag at 5 % errors are down to {before} %. Nothing else was touched.",
                    "Configuration restored, failure share normal within a minute.",
                ],
                not_helped: &["The flag came back by itself: a sync from the repository applied the change again \
                    {spread} minutes later. It has to be reverted at the source."],
                side_effect: "An unrelated key in the same file, a banner text, went back to last week's wording too.",
            }],
            alternatives: &[
                ("rollback-deployment", "the image is nine days old and not the cause"),
                ("restart-pods", "they would read the same flag again"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    let (fast, slow) = draw.pick(&[(85, 1_240), (120, 2_900), (60, 780), (210, 4_400), (140, 1_950)]);
    figures(vec![
        ("fast", fast.to_string()),
        ("slow", (slow + draw.range(0, 90)).to_string()),
        ("errors", draw.range(7, 64).to_string()),
        ("before", draw.pick(&["0.1", "0.2", "0.3", "0.05", "0.4"]).to_string()),
        ("waited", draw.range(10, 22).to_string()),
        ("spread", draw.range(4, 13).to_string()),
        ("budget", draw.range(3, 20).to_string()),
        ("fanout", draw.range(8, 45).to_string()),
        ("weekday", draw.pick(&["Monday", "Tuesday", "Thursday", "Friday"]).to_string()),
        (
            "trait",
            draw.pick(&[
                "a gift voucher",
                "an empty delivery note",
                "more than one currency",
                "a guest account",
                "a leap-day date",
                "a percent sign in the name",
            ])
            .to_string(),
        ),
    ])
}
