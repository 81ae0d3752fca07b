//! Incidents of workloads that suffer because of what else runs on their node.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "noisy-neighbour",
    weight: 2,
    severities: &["high", "warning", "warning"],
    signals: &[
        Signal {
            name: "LatencyBudgetBurn",
            source: "prometheus",
            summary: "{service}: p99 {slow} ms on some pods",
            description: "p99 of {service} is {slow} ms on pods of one node and {fast} ms on the others.",
        },
        Signal {
            name: "CPUThrottlingHigh",
            source: "prometheus",
            summary: "{pod} is throttled {throttled} % of the time",
            description: "CFS throttling of {service} on {node} is at {throttled} %. Its own load has not changed.",
        },
        Signal {
            name: "NodeCPUSteal",
            source: "prometheus",
            summary: "Run queue of {node} is {queue_length} long",
            description: "Load of {node} is {queue_length} with 16 cores. {service} and other tenants report slow \
                answers.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "{service} itself does the same work per request as last week.",
        "{database} and {dependency} answer within their usual times.",
        "The hypervisor reports no steal time.",
        "{node} is neither short of memory nor of disk space.",
    ],
    passed: &[
        "The batch job ended at {clock} and with it the trouble; {service} is at {fast} ms on all nodes.",
        "The autoscaler removed {node} as part of its consolidation, the replicas of {service} run elsewhere and are \
            quick.",
    ],
    unclear: &[
        "Only pods on {node} are slow, but no neighbour stands out in CPU, disk or network. Shared caches and memory \
            bandwidth are not measured here.",
    ],
    refusals: &[
        (
            "suspend-jobs",
            "The other job is the price import and must finish before noon. {service} has to live with \
            it today.",
        ),
        ("move-pods", "Pinning pods to nodes by hand is what we want to get away from. Leave it to the scheduler."),
    ],
    causes: &[
        Cause {
            name: "batch-job-cpu",
            place: Place::Node,
            runtimes: &[],
            signals: &[],
            summary: &[
                "A batch job without CPU limit uses {cores} cores of {node}; {service} on the same node is slowed \
                    down from {fast} to {slow} ms.",
                "{service} shares {node} with a job that takes all the CPU it can get. Latency there is {slow} ms, \
                    elsewhere {fast} ms.",
            ],
            openings: &[
                "Two replicas of {service} are slow and the rest are not. The slow ones have a neighbour.",
                "{service} suffers on {node} only. It shares that machine with a batch job that knows no limit.",
                "Same build, same traffic, {slow} ms here and {fast} ms there. What differs is the company that \
                    {pod} keeps.",
            ],
            evidence: &[
                "`{job}` has used {cores} of 16 cores since {earlier} and has no limit",
                "run queue of {node}: {queue_length}",
                "pods of {service} on other nodes: {fast} ms",
                "scheduling latency of {pod}: 180 ms at p99",
                "the job was placed here because it requests only 100m",
            ],
            logs: &["PID   CPU%  CGROUP\n4410  {cores}00  batch/{job}\n5127  61    {namespace}/{pod}"],
            reasoning: &["If {service} were to blame, all its pods would be slow. The job arrived on {node} in the \
                minute in which these became slow."],
            notes: &[
                "{job} eats {cores} cores on {node}. Suspend or move it. {service} is the victim.",
                "slow only next to {job}. Noisy neighbour.",
            ],
            chain: &[
                "{job} requests little and uses {cores} cores",
                "the scheduler places it on {node}",
                "the run queue grows to {queue_length}",
                "requests of {service} on that node wait for CPU",
            ],
            factors: &["No limit range in the batch namespace", "Batch and services share the general pool"],
            remedies: &[
                Remedy {
                    workflow: "suspend-jobs",
                    odds: 89,
                    rationale: &["The job is not urgent and can go on at night; suspending it gives {node} back \
                        within seconds."],
                    helped: &[
                        "Load of {node} fell to 9 and p99 of {service} to {fast} ms.",
                        "Job suspended; slow and fast pods can no longer be told apart.",
                    ],
                    not_helped: &["The job was suspended and another of the same kind took its place from the queue. \
                        {node} is as busy as before."],
                    side_effect: "The results of {job} will be half a day late.",
                },
                Remedy {
                    workflow: "move-pods",
                    odds: 84,
                    rationale: &["Moving the replicas of {service} away from batch work solves it without stopping \
                        anybody."],
                    helped: &["The replicas run on {node2} now, at {fast} ms. The job goes on."],
                    not_helped: &["The moved replicas met the next batch job on {node2} twenty minutes later."],
                    side_effect: "With the anti-affinity in place one replica found no node in its zone.",
                },
            ],
            alternatives: &[
                ("increase-cpu-limit", "{service} is not at its limit, the node is"),
                ("scale-out", "one more replica elsewhere leaves the slow ones slow"),
                ("restart-pods", "they would come back to the same node"),
            ],
        },
        Cause {
            name: "disk-io",
            place: Place::Node,
            runtimes: &[],
            signals: &["LatencyBudgetBurn"],
            summary: &[
                "`{job}` writes {writes} MB/s to the disk that {service} logs to on {node}; its threads block on \
                    write.",
                "The disk of {node} is saturated by `{job}`, and {service} waits for it although it hardly writes \
                    itself.",
            ],
            openings: &[
                "{service} on {node} stands still for seconds at a time, with idle CPU. It waits for a disk that \
                    somebody else keeps busy.",
                "Pauses of up to {slow} ms, only on {node}, and all of them in a write call.",
            ],
            evidence: &[
                "disk of {node}: 100 % busy, queue of {queue_length}, {writes} MB/s by `{job}`",
                "I/O pressure (PSI) some=78 full=61 on the node",
                "stack samples of {pod}: 90 % in fsync of the log",
                "other nodes of the pool: 6 % busy",
            ],
            logs: &["nvme0n1  util 100.0  await 412ms  wMB/s {writes}\ntask {service} blocked for more than 10 \
                seconds"],
            reasoning: &["CPU and network are free, writes are not. A single writer accounts for nearly all of the \
                bytes, and it is not {service}."],
            notes: &[
                "io saturation on {node} by {job}, {writes}MB/s. Move one of them.",
                "blocked in fsync, neighbour hogs disk.",
            ],
            chain: &[
                "`{job}` spills to the node's disk",
                "the disk is busy all the time",
                "{service} blocks when it writes its log",
            ],
            factors: &["emptyDir of batch pods has no size or rate limit", "Logging is synchronous"],
            remedies: &[Remedy {
                workflow: "move-pods",
                odds: 88,
                rationale: &["Separating the two by anti-affinity helps at once, since the other disks of the pool \
                    are idle."],
                helped: &[
                    "On its new node {service} has no blocked writes, p99 {fast} ms.",
                    "Moved. Pressure on {node} is unchanged, but nobody suffers from it.",
                ],
                not_helped: &["The spilling job was the one that got evicted, restarted next to {service} again and \
                    began from the start."],
                side_effect: "The move took a warm cache with it, {database} had 30 % more reads for ten minutes.",
            }],
            alternatives: &[
                ("clean-node-disk", "the disk is busy, not full"),
                ("increase-cpu-limit", "threads are blocked, not starved of CPU"),
            ],
        },
        Cause {
            name: "network-hog",
            place: Place::Node,
            runtimes: &[],
            signals: &["LatencyBudgetBurn"],
            summary: &[
                "A backup agent on {node} fills the network card; packets of {service} are dropped and sent again.",
                "`{job}` copies at {writes} MB/s through the interface of {node}. {service} sees retransmissions and \
                    timeouts.",
            ],
            openings: &[
                "Connections of {service} on {node} stall. Not the remote end is slow, the way there is full.",
                "{service} reports timeouts to everyone it calls, but only from {node}.",
            ],
            evidence: &[
                "transmit queue drops on {node}: 2,400 a second",
                "TCP retransmissions of {pod}: 4 %, elsewhere 0.02 %",
                "`{job}` sends {writes} MB/s since {earlier}",
                "calls to {database}, {dependency} and DNS are slow alike",
            ],
            logs: &["eth0 tx_dropped 18422013 (+2411/s)\ntc: qlen {queue_length}000p backlog 64Mb"],
            reasoning: &["When every destination is slow from one node and none from the next, it is the node's \
                link. The volume of the copy is what fills it."],
            notes: &[
                "NIC of {node} saturated by {job}. Suspend the copy.",
                "retransmits only on {node}; backup hogging link.",
            ],
            chain: &[
                "the backup of a large volume starts on {node}",
                "its copy fills the interface",
                "packets of {service} are dropped and repeated",
            ],
            factors: &["The backup has no rate limit and no window"],
            remedies: &[Remedy {
                workflow: "suspend-jobs",
                odds: 92,
                rationale: &["The copy can be resumed at night from where it stopped; suspending it frees the link."],
                helped: &["Drops ended in the same second, {service} is at {fast} ms."],
                not_helped: &["Drops continue at half the rate: a second agent, outside of the cluster's control, \
                    copies as well."],
                side_effect: "Last night's backup of one volume is incomplete.",
            }],
            alternatives: &[
                ("restart-dns", "look-ups are slow for the same reason as everything else"),
                ("drain-node", "moves thirty pods to be rid of one"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    let (fast, slow) = draw.pick(&[(45, 900), (80, 1_600), (120, 2_300), (30, 640)]);
    figures(vec![
        ("fast", fast.to_string()),
        ("slow", (slow + draw.range(0, 250)).to_string()),
        ("throttled", draw.range(35, 88).to_string()),
        ("queue_length", draw.range(41, 140).to_string()),
        ("cores", draw.range(9, 15).to_string()),
        ("writes", draw.range(220, 940).to_string()),
        (
            "job",
            draw.pick(&[
                "price-import",
                "nightly-rebuild",
                "thumbnail-backfill",
                "ledger-replay",
                "model-training",
                "volume-backup",
            ])
            .to_string(),
        ),
    ])
}
