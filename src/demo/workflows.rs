//! The catalogue of workflows that the demo's fleet can run: their steps, and how each tends to fail.

/// A procedure in the catalogue.
#[derive(Debug)]
pub struct Workflow {
    pub name: &'static str,
    pub version: &'static str,
    /// The closed taxonomy's word, such as `RestartPod`.
    pub action_type: &'static str,
    pub steps: &'static [&'static str],
    /// Whether policy wants a person to agree in production.
    pub risky: bool,
    /// The shortest and the longest a step takes, in seconds.
    pub step_seconds: (i64, i64),
    /// What a step prints when it fails: the engine's reason, the message.
    pub failures: &'static [(&'static str, &'static str)],
}

/// The workflow of that name; the families name only what is in the catalogue, and a test says so.
pub fn named(name: &str) -> &'static Workflow {
    ALL.iter().find(|workflow| workflow.name == name).unwrap_or(&ALL[0])
}

const fn workflow(
    name: &'static str,
    version: &'static str,
    action_type: &'static str,
    risky: bool,
    step_seconds: (i64, i64),
    steps: &'static [&'static str],
    failures: &'static [(&'static str, &'static str)],
) -> Workflow {
    Workflow { name, version, action_type, steps, risky, step_seconds, failures }
}

const READY: (&str, &str) = (
    "deadline_exceeded",
    "timed out waiting for the condition: {ready} of {replicas} replicas are ready after \
        {patience}",
);
const DENIED: (&str, &str) = (
    "forbidden",
    "admission webhook \"policy.platform.internal\" denied the request: change window for {namespace} is closed",
);
const CONFLICT: (&str, &str) = (
    "task_failed",
    "Operation cannot be fulfilled on {kind} \"{target}\": the object has been modified; gave up after 5 tries",
);
const RBAC: (&str, &str) = (
    "forbidden",
    "{kind} \"{target}\" is forbidden: User \"system:serviceaccount:remediation:runner\" cannot patch it in \
        {namespace}",
);
const BUDGET: (&str, &str) = (
    "deadline_exceeded",
    "cannot evict pod {pod}: it would violate the pod's disruption budget; retried for {patience}",
);
const UNSCHEDULABLE: (&str, &str) = (
    "resource_exhausted",
    "pod {pod} is Pending: 0/{nodes} nodes are available, insufficient memory on every node of the pool",
);

/// Every workflow, the plainest first.
pub static ALL: &[Workflow] = &[
    workflow(
        "restart-pods",
        "1.4.0",
        "RestartPod",
        false,
        (4, 40),
        &["check-budget", "restart-pods", "wait-ready"],
        &[READY, BUDGET],
    ),
    workflow(
        "rollback-deployment",
        "2.1.0",
        "RollbackDeployment",
        true,
        (5, 80),
        &["find-last-good-revision", "roll-back", "wait-ready", "compare-error-rate"],
        &[READY, DENIED],
    ),
    workflow(
        "increase-memory-limit",
        "1.3.2",
        "AdjustResources",
        true,
        (4, 75),
        &["read-usage-history", "check-node-capacity", "patch-memory-limit", "wait-ready"],
        &[UNSCHEDULABLE, CONFLICT],
    ),
    workflow(
        "increase-cpu-limit",
        "1.3.2",
        "AdjustResources",
        true,
        (4, 70),
        &["read-throttling", "patch-cpu-limit", "wait-ready"],
        &[UNSCHEDULABLE, CONFLICT],
    ),
    workflow(
        "scale-out",
        "1.6.1",
        "ScaleReplicas",
        false,
        (5, 60),
        &["check-capacity", "scale-replicas", "wait-ready"],
        &[UNSCHEDULABLE, READY],
    ),
    workflow(
        "scale-consumers",
        "1.2.0",
        "ScaleReplicas",
        false,
        (5, 60),
        &["read-lag", "scale-replicas", "watch-lag"],
        &[
            ("deadline_exceeded", "lag did not fall below the target within {patience}; still rising on 2 partitions"),
            UNSCHEDULABLE,
        ],
    ),
    workflow(
        "park-poison-messages",
        "1.0.4",
        "QuarantineMessages",
        true,
        (5, 50),
        &["find-failing-offsets", "move-to-parking-queue", "resume-consumers"],
        &[("task_failed", "broker refused the move: NOT_LEADER_OR_FOLLOWER for partition 3"), READY],
    ),
    workflow(
        "renew-certificate",
        "1.1.3",
        "RenewCertificate",
        false,
        (6, 70),
        &["request-certificate", "wait-issued", "reload-endpoints", "probe-tls"],
        &[
            ("task_failed", "order is invalid: DNS-01 challenge record was not found by the issuer"),
            ("deadline_exceeded", "certificate request is still Pending after {patience}"),
        ],
    ),
    workflow(
        "drain-node",
        "2.0.1",
        "DrainNode",
        true,
        (10, 240),
        &["cordon-node", "evict-pods", "verify-rescheduled"],
        &[BUDGET, UNSCHEDULABLE],
    ),
    workflow(
        "clean-node-disk",
        "1.2.2",
        "CleanNode",
        false,
        (8, 90),
        &["measure-disk", "prune-images", "rotate-logs", "check-condition"],
        &[
            ("task_failed", "crictl rmi --prune: context deadline exceeded while talking to the runtime's socket"),
            ("task_failed", "nsenter: cannot open /proc/1/ns/mnt: permission denied"),
        ],
    ),
    workflow(
        "restart-node-service",
        "1.0.2",
        "RestartNodeService",
        true,
        (6, 60),
        &["cordon-node", "restart-service", "wait-node-ready", "uncordon-node"],
        &[("deadline_exceeded", "node {node} did not report Ready within {patience}"), RBAC],
    ),
    workflow(
        "move-pods",
        "1.1.0",
        "MovePods",
        true,
        (6, 110),
        &["find-neighbours", "add-anti-affinity", "evict-pods", "verify-rescheduled"],
        &[BUDGET, UNSCHEDULABLE],
    ),
    workflow(
        "suspend-jobs",
        "1.0.3",
        "SuspendJobs",
        false,
        (3, 25),
        &["find-running-jobs", "suspend-cronjob", "wait-terminated"],
        &[RBAC, ("task_failed", "job is owned by another controller and was resumed at once")],
    ),
    workflow(
        "expand-volume",
        "1.2.0",
        "ExpandVolume",
        true,
        (8, 180),
        &["check-storage-class", "patch-claim", "wait-filesystem-resize"],
        &[
            (
                "task_failed",
                "resize failed: the volume was modified less than 6 hours ago and cannot be modified again",
            ),
            ("forbidden", "only dynamically provisioned claims whose storage class allows expansion can be resized"),
        ],
    ),
    workflow(
        "purge-old-files",
        "1.1.1",
        "CleanVolume",
        true,
        (6, 150),
        &["list-candidates", "snapshot-volume", "delete-files", "measure-disk"],
        &[
            ("task_failed", "snapshot is not ready to use after {patience}; nothing was deleted"),
            ("task_failed", "rm: cannot remove segment files: Read-only file system"),
        ],
    ),
    workflow(
        "restore-config",
        "1.3.0",
        "RestoreConfig",
        true,
        (4, 60),
        &["diff-config", "restore-config", "restart-pods", "wait-ready"],
        &[READY, CONFLICT],
    ),
    workflow(
        "restore-secret",
        "1.0.5",
        "RestoreSecret",
        true,
        (4, 55),
        &["read-vault-version", "write-secret", "restart-pods", "wait-ready"],
        &[("forbidden", "vault: permission denied on path kv/{namespace}/{service}"), READY],
    ),
    workflow(
        "correct-image",
        "1.0.1",
        "CorrectImage",
        true,
        (4, 70),
        &["resolve-digest", "patch-image", "wait-ready"],
        &[("image_pull_back_off", "manifest for {image} was not found in the mirror either"), CONFLICT],
    ),
    workflow(
        "restart-dns",
        "1.0.0",
        "RestartPod",
        false,
        (5, 40),
        &["restart-coredns", "wait-ready", "probe-names"],
        &[READY, ("task_failed", "probe-names: 3 of 20 look-ups still time out")],
    ),
    workflow(
        "tune-dns",
        "1.2.1",
        "AdjustDns",
        true,
        (5, 55),
        &["diff-corefile", "patch-corefile", "scale-replicas", "probe-names"],
        &[CONFLICT, ("task_failed", "plugin/forward: corefile was rejected on reload, the old one stays in force")],
    ),
    workflow(
        "raise-quota",
        "1.1.0",
        "AdjustQuota",
        true,
        (3, 30),
        &["check-cluster-headroom", "patch-quota", "retry-rollout"],
        &[DENIED, UNSCHEDULABLE],
    ),
    workflow(
        "clear-finished-pods",
        "1.0.2",
        "CleanNamespace",
        false,
        (3, 30),
        &["list-finished", "delete-finished", "verify-quota"],
        &[RBAC, ("task_failed", "finalizer on 14 jobs is never removed by its owner; they stay in Terminating")],
    ),
    workflow(
        "adjust-pool-size",
        "1.1.4",
        "AdjustPool",
        true,
        (4, 60),
        &["read-connection-use", "patch-pool-size", "restart-pods", "wait-ready"],
        &[READY, CONFLICT],
    ),
    workflow(
        "terminate-blocking-session",
        "1.0.6",
        "TerminateSession",
        true,
        (2, 20),
        &["find-blocker", "terminate-session", "verify-lock-queue"],
        &[
            ("task_failed", "pg_terminate_backend returned false: the session belongs to a superuser"),
            ("task_failed", "the same job reconnected and took the lock again within 4 s"),
        ],
    ),
    workflow(
        "refresh-statistics",
        "1.0.1",
        "RefreshStatistics",
        false,
        (10, 120),
        &["find-stale-tables", "analyze-tables", "compare-plans"],
        &[
            ("deadline_exceeded", "ANALYZE was cancelled by statement_timeout on the largest table"),
            ("task_failed", "plan unchanged after ANALYZE, the estimate is still off by three orders"),
        ],
    ),
    workflow(
        "adjust-probe",
        "1.2.3",
        "AdjustProbe",
        true,
        (4, 70),
        &["measure-latency", "patch-probe", "wait-ready"],
        &[READY, CONFLICT],
    ),
    workflow(
        "raise-autoscaler-maximum",
        "1.0.8",
        "AdjustAutoscaler",
        true,
        (4, 80),
        &["check-capacity", "patch-autoscaler", "wait-scaled"],
        &[UNSCHEDULABLE, DENIED],
    ),
    workflow(
        "shed-load",
        "1.1.2",
        "ShedLoad",
        true,
        (3, 30),
        &["set-rate-limit", "verify-latency"],
        &[CONFLICT, ("task_failed", "rate limit was applied on 2 of 3 edge replicas only")],
    ),
    workflow(
        "switch-to-fallback",
        "1.3.1",
        "EnableFallback",
        true,
        (3, 40),
        &["check-fallback", "open-circuit", "verify-error-rate"],
        &[("task_failed", "the fallback answers 503 as well; the circuit was closed again"), CONFLICT],
    ),
];
