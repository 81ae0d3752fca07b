//! Incidents in which a workload does not survive its own start.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Runtime, Signal, figures};

pub static FAMILY: Family = Family {
    name: "crash-loop",
    weight: 4,
    severities: &["critical", "high", "warning"],
    signals: &[
        Signal {
            name: "KubePodCrashLooping",
            source: "prometheus",
            summary: "{pod} is in CrashLoopBackOff",
            description: "Pods of {service} are restarting: {restarts} restarts within {lasting} minutes. The \
                container exits with code {exit} shortly after start.",
        },
        Signal {
            name: "KubeDeploymentReplicasMismatch",
            source: "prometheus",
            summary: "{service} has {ready} of {replicas} replicas",
            description: "{service} in {namespace} has not matched its expected number of replicas for {lasting} \
                minutes.",
        },
        Signal {
            name: "BackOff",
            source: "kubernetes-events",
            summary: "Back-off restarting failed container {service}",
            description: "Back-off restarting failed container {service} in pod {pod}, {restarts} times.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "It is not memory: the highest value before an exit is 22 % of the limit and the exit code is {exit}, not 137.",
        "Probes are not at fault, the process ends before the first one is due.",
        "Clock and name resolution are fine inside the container.",
        "{node} runs a dozen other workloads without a restart.",
        "{database} and {dependency} accept connections from a debug pod in the same namespace.",
    ],
    passed: &[
        "The container came up on attempt {restarts} and has been stable for {lasting} minutes; what it was waiting \
            for is there now.",
        "The owners scaled the deployment to zero on purpose while they replace it. The pods that looped no longer \
            exist.",
    ],
    unclear: &[
        "The process ends with code {exit} and writes nothing, neither to its log nor to the termination message. \
            Without a look inside the container the reason cannot be named.",
        "Three replicas fail at start and the rest do not, with identical image, configuration and node type.",
    ],
    refusals: &[
        (
            "restore-config",
            "The configuration is right and the old one was wrong. Fix the reader, do not put the old \
            file back.",
        ),
        ("", "These pods are mine, I am debugging them. Leave the loop alone for an hour."),
    ],
    causes: &[
        Cause {
            name: "bad-config",
            place: Place::Workload,
            runtimes: &[],
            signals: &[],
            summary: &[
                "{service} refuses its configuration: `{key}` has the value `{value}`, which does not parse. The \
                    process exits during start, again and again.",
                "A typing error in the ConfigMap of {service} ({key}: {value}) ends every start after {second} \
                    seconds.",
                "Invalid setting `{key}` in the configuration of {service}, changed at {earlier}; the start-up check \
                    rejects it.",
            ],
            openings: &[
                "{service} does not come up any more. Each start lasts {second} seconds and ends in the \
                    configuration reader.",
                "{restarts} restarts in {lasting} minutes, all alike. Pods of {service} die before they have done \
                    any work.",
                "Somebody edited the ConfigMap at {earlier}. Pods that were running did not care; those that \
                    restarted since cannot start.",
            ],
            evidence: &[
                "last line before exit: cannot parse `{key}`: `{value}`",
                "ConfigMap revision of {earlier} changes exactly this key",
                "exit code {exit} after {second} s in {restarts} of {restarts} restarts",
                "{ready} pods are alive, all older than the change",
                "with the former value a one-off pod starts cleanly",
            ],
            logs: &[
                "[{clock}:11] FATAL config: field \"{key}\": cannot parse \"{value}\"\nexit status {exit}",
                "fatal: invalid value for {key}: {value} (application.yaml, line 88)",
            ],
            reasoning: &[
                "The process says what it does not like, the revision history says when it came, and a pod with the \
                    old value lives. No other explanation is needed.",
                "It could be taken for a bad image, but image and digest are weeks old; the file is what changed.",
            ],
            notes: &[
                "{service} crashlooping on config: {key}={value}. Changed {earlier}. Restore.",
                "exit {exit} in {second}s, config parse. Old CM works. Put it back, tell the editor.",
            ],
            chain: &[
                "`{key}` is changed to `{value}` by hand",
                "running pods keep the old value and hide the mistake",
                "a node update restarts them one after the other",
                "each new start ends in the configuration reader",
            ],
            factors: &[
                "The file is not validated when it is applied",
                "Changes take effect at the next restart only, often days later",
            ],
            remedies: &[Remedy {
                workflow: "restore-config",
                odds: 95,
                rationale: &[
                    "Putting back the revision before {earlier} gives a file that is known to parse.",
                    "The previous ConfigMap works, as the test pod showed; restoring it is quick and can be undone.",
                ],
                helped: &[
                    "All {replicas} pods of {service} started at the first try with the restored file.",
                    "The loop has ended. Restart counters have not moved for {observed} minutes.",
                ],
                not_helped: &["The old file parses, but points to a host that was retired with the change; pods now \
                    start and then fail their readiness check."],
                side_effect: "The restored revision also switched verbose logging on again, log volume doubled.",
            }],
            alternatives: &[
                ("restart-pods", "they restart every few seconds as it is"),
                ("rollback-deployment", "the image is not what changed"),
                ("adjust-probe", "the process exits by itself before any probe"),
            ],
        },
        Cause {
            name: "missing-secret",
            place: Place::Workload,
            runtimes: &[],
            signals: &[],
            summary: &[
                "The password that {service} uses for {database} was rotated and the copy in its secret was not; it \
                    exits when authentication fails.",
                "{service} starts, cannot authenticate against {database} and gives up. Its secret still holds the \
                    password from before the rotation at {earlier}.",
            ],
            openings: &[
                "{service} loops since the rotation of credentials at {earlier}. It {role}, and without {database} \
                    it sees no point in living.",
                "Authentication failures of one user against {database}, followed by the end of the process, every \
                    {second} seconds.",
            ],
            evidence: &[
                "{database} logs: password authentication failed for user \"{service}\", {restarts} times",
                "secret {service}-db was last written before the rotation",
                "other users of {database} have the new password and are connected",
                "vault has a version that is one ahead of the secret's annotation",
                "the sync operator of {namespace} reports an expired token",
            ],
            logs: &[
                "[{clock}:20] ERROR cannot connect: password authentication failed for user \
                    \"{service}\"\n[{clock}:20] giving up after 3 tries",
                "operator: sync of {namespace}/{service}-db failed: 403 permission denied",
            ],
            reasoning: &[
                "The database is there and answers, it answers no. Vault is one version ahead of the secret, and the \
                    operator that should close that gap has lost its own token.",
                "Restarting cannot help, since each start reads the same stale secret.",
            ],
            notes: &[
                "{service}: stale DB password after rotation. Sync operator's token expired. Write secret, bounce.",
                "28P01 for {service}. Vault v+1 vs k8s secret. Restore secret.",
            ],
            chain: &[
                "the password of {service} is rotated in {database} and vault",
                "the operator cannot sync the secret",
                "new connections are refused",
                "the process exits and is started again with the same secret",
            ],
            factors: &[
                "No alert on the operator's failed syncs",
                "The process exits instead of waiting for the database",
            ],
            remedies: &[Remedy {
                workflow: "restore-secret",
                odds: 92,
                rationale: &["Writing vault's current version into {service}-db and restarting gives the process a \
                    password that is accepted."],
                helped: &[
                    "{service} connects to {database} again, all {replicas} replicas are ready.",
                    "Secret and vault agree. No further authentication failure was logged.",
                ],
                not_helped: &["The new secret was overwritten with the old value by the recovering operator {second} \
                    seconds later, and the loop went on."],
                side_effect: "A nightly job that reads the same secret under another user name lost its access.",
            }],
            alternatives: &[
                ("restart-pods", "reads the same stale secret"),
                ("adjust-pool-size", "not a single connection gets as far as the pool"),
            ],
        },
        Cause {
            name: "migration-lock",
            place: Place::Workload,
            runtimes: &[],
            signals: &[],
            summary: &[
                "All replicas of {service} try to migrate {database} at start; one died holding the migration lock, \
                    and the others wait for it until they are killed.",
                "A stale lock in the migrations table of {database} keeps {service} from starting.",
            ],
            openings: &[
                "Each pod of {service} waits {second} seconds at the same line and then exits. The line says it \
                    waits for a lock.",
                "Start-up of {service} is stuck before it listens. A lock that nobody holds any more stands in the \
                    way.",
            ],
            evidence: &[
                "row in the migrations table: locked=true by a pod that ceased to exist at {earlier}",
                "every start logs `waiting for migration lock` and exits with {exit} after {second} s",
                "that pod was evicted in the middle of its migration",
                "no session in {database} belongs to it any more",
            ],
            logs: &["[{clock}:05] INFO  waiting for migration lock held by {pod2}\n[{clock}:35] FATAL lock not \
                acquired in time"],
            reasoning: &["The holder is gone, so waiting cannot end. The lock is a row and not a session lock, that \
                is why it outlived its owner."],
            notes: &[
                "stale migration lock in {database}, holder evicted. Clear blocker.",
                "{service} can't start: schema lock from dead pod {pod2}.",
            ],
            chain: &[
                "a pod is evicted while it migrates {database}",
                "its lock row stays behind",
                "all other pods wait for it at start and give up",
            ],
            factors: &["Migrations run in the application instead of a job of their own", "The lock has no expiry"],
            remedies: &[Remedy {
                workflow: "terminate-blocking-session",
                odds: 80,
                rationale: &["The workflow releases the orphaned lock after checking that its owner is gone; the \
                    next start proceeds by itself."],
                helped: &["Lock released, the migration was finished by the first pod that came up. All {replicas} \
                    replicas are ready."],
                not_helped: &["The half-applied migration fails now that it may run: a column exists already. \
                    Somebody has to complete it by hand."],
                side_effect: "Two pods began the migration at once, one of them logged a harmless duplicate-table \
                    error.",
            }],
            alternatives: &[
                ("restart-pods", "each start waits for the same row"),
                ("rollback-deployment", "the previous version waits for the lock too"),
            ],
        },
        Cause {
            name: "missing-dependency",
            place: Place::Workload,
            runtimes: &[Runtime::Python],
            signals: &[],
            summary: &[
                "{version} of {service} was built without a module it imports; the interpreter ends with an import \
                    error before the server starts.",
                "The image of {service} {version} lacks a package: the lock file and the build disagree since \
                    {earlier}.",
            ],
            openings: &[
                "{service} {version} cannot even import itself. Exit code {exit}, {second} seconds after start.",
                "New pods of {service} fail on their first line. Old ones of {previous} keep running, which is why \
                    customers see nothing yet.",
            ],
            evidence: &[
                "ModuleNotFound at the top of the entry point",
                "the layer with dependencies of {version} is 40 MB smaller than that of {previous}",
                "the build log warns that an optional group was skipped",
                "{ready} of {replicas} pods are ready, all from {previous}",
            ],
            logs: &[
                "Traceback: File \"/app/main\", line 3\nModuleNotFoundError: No module named 'telemetry_client'",
                "ImportError: cannot import name 'exporter' from 'telemetry_client' (unknown location)",
            ],
            reasoning: &[
                "Nothing about the environment matters here: the file is not in the image. A different image is the \
                    only way out.",
                "Configuration and secrets are read later than the import that fails.",
            ],
            notes: &[
                "{version} image broken, module missing. Roll back to {previous}.",
                "import error at boot => bad build.",
            ],
            chain: &[
                "the build skips a group of dependencies",
                "the image lacks a module",
                "the process of {version} ends on import",
            ],
            factors: &["The image is never started in the pipeline, only built"],
            remedies: &[Remedy {
                workflow: "rollback-deployment",
                odds: 96,
                rationale: &["{previous} has all modules and serves already; the rollout is best undone until the \
                    build is repaired."],
                helped: &[
                    "The new replica set is gone, {replicas} pods of {previous} are ready.",
                    "Rolled back; no start has failed since.",
                ],
                not_helped: &["The tag of {previous} was overwritten by the broken build an hour before, so the \
                    rollback pulled the same image."],
                side_effect: "A migration of {version} had run already; {previous} logs a warning about an unknown \
                    table.",
            }],
            alternatives: &[
                ("restart-pods", "the file will not appear by restarting"),
                ("restore-config", "configuration is never reached"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    let (key, value) = draw.pick(&[
        ("http.timeout", "30 s"),
        ("pool.maximum", "twenty"),
        ("retry.backoff", "1,5"),
        ("listen.port", "80800"),
        ("cache.ttl", "-1h"),
        ("log.level", "verbos"),
        ("region", "eu_west"),
    ]);
    figures(vec![
        ("key", key.to_string()),
        ("value", value.to_string()),
        ("restarts", draw.range(6, 44).to_string()),
        ("lasting", draw.range(10, 50).to_string()),
        ("second", draw.range(2, 30).to_string()),
        ("exit", draw.pick(&["1", "2", "78", "64"]).to_string()),
    ])
}
