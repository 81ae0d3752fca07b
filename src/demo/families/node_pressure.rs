//! Incidents of nodes that run short of memory, disk or processes, or stop reporting.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "node-pressure",
    weight: 3,
    severities: &["critical", "high", "warning"],
    signals: &[
        Signal {
            name: "KubeNodePressure",
            source: "prometheus",
            summary: "{node} is under pressure",
            description: "Node {node} of {cluster} has reported a pressure condition for {lasting} minutes. \
                {evicted} pods were evicted from it, {service} among them.",
        },
        Signal {
            name: "KubeNodeNotReady",
            source: "prometheus",
            summary: "{node} is not ready",
            description: "The kubelet of {node} has not posted a ready status for {lasting} minutes. Pods on it are \
                restarting elsewhere.",
        },
        Signal {
            name: "EvictionThresholdMet",
            source: "kubernetes-events",
            summary: "kubelet on {node} attempts to reclaim resources",
            description: "EvictionThresholdMet on {node}. {evicted} pods have been evicted since {earlier}; {ready} \
                of {replicas} replicas of {service} are ready.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "The neighbouring nodes of the pool are at {calm} % and calm; this is one machine, not the cluster.",
        "No pod on {node} exceeds its own limit.",
        "The cloud provider reports no fault of the instance or its disks.",
        "The kernel log shows no hardware errors.",
    ],
    passed: &[
        "The condition was withdrawn after {lasting} minutes, before anything was done. The pods that had to leave \
            are running elsewhere.",
        "{node} was replaced by the autoscaler before anything was decided, the alert refers to a machine that is \
            gone.",
    ],
    unclear: &[
        "Metrics of {node} end eight minutes before the alert. What filled it up went down with the agent that would \
            have told.",
        "The sum of what the pods use is far below what the node reports as used. The rest is in the kernel or in a \
            process outside of any pod, and there is no access to tell.",
    ],
    refusals: &[
        (
            "drain-node",
            "The database primary of {namespace} sits on {node}. I move it by hand first, then you may \
            have the node.",
        ),
        (
            "drain-node",
            "Draining now would take three more services below their budgets. Wait until the pool has \
            been enlarged.",
        ),
    ],
    causes: &[
        Cause {
            name: "image-garbage",
            place: Place::Node,
            runtimes: &[],
            signals: &["KubeNodePressure", "EvictionThresholdMet"],
            summary: &[
                "The root disk of {node} is {full} % full of old container images: {images} of them, {garbage} GiB, \
                    none in use. The kubelet evicts pods before its own clean-up gets anywhere.",
                "{node} reports disk pressure because unused image layers fill it; garbage collection is configured \
                    to start later than eviction does.",
            ],
            openings: &[
                "{node} throws pods out to save disk space. What fills the disk is not data but images that nobody \
                    runs any more.",
                "Disk pressure on {node}: {full} % used, and {evicted} pods evicted for it. Their data would have \
                    been a fraction of what old layers take.",
                "Pods of {service} are restarting on other machines since {node} evicts everything that comes.",
            ],
            evidence: &[
                "`crictl images`: {images} images, {garbage} GiB, 14 in use",
                "imageGCHighThreshold is 90 % on this pool, the eviction threshold for nodefs 88 %",
                "every evicted pod pulls its image again on its return, which makes matters worse",
                "builds of feature branches with tags by commit account for two thirds of the layers",
                "container logs take 1.4 GiB only, emptyDirs less than 1 GiB",
            ],
            logs: &["eviction manager: attempting to reclaim ephemeral-storage\neviction manager: must evict pod(s) \
                to reclaim ephemeral-storage\npod {pod} evicted: The node was low on resource: ephemeral-storage."],
            reasoning: &[
                "With the eviction threshold below the one for collecting images, the kubelet is bound to throw out \
                    pods while gigabytes of unused layers stay. The arithmetic alone explains it.",
                "Nothing on the disk grows but the image store, and nothing in it is needed.",
            ],
            notes: &[
                "{node} DiskPressure, {garbage}G stale images, GC threshold above eviction threshold. Prune.",
                "evictions caused by old image layers. Clean disk, then fix GC setting on the pool.",
            ],
            chain: &[
                "images of feature branches pile up on {node}",
                "the disk passes the eviction threshold before image collection starts",
                "the kubelet evicts pods, {service} among them",
                "returning pods pull images again and fill the disk further",
            ],
            factors: &[
                "Thresholds of the pool were changed for a migration and never put back",
                "Branch builds are scheduled on the general pool",
            ],
            remedies: &[
                Remedy {
                    workflow: "clean-node-disk",
                    odds: 89,
                    rationale: &[
                        "Pruning unused images frees {garbage} GiB at once and disturbs no pod.",
                        "The space is taken by things nobody uses; removing them is enough to lift the condition.",
                    ],
                    helped: &[
                        "{garbage} GiB came free, the disk is at {calm} %. DiskPressure was withdrawn after four \
                            minutes and no pod has been evicted since.",
                        "The node is schedulable again. Evicted replicas of {service} returned.",
                    ],
                    not_helped: &["Two hours later the disk is full again; what fills it is a core dump directory \
                        outside the image store."],
                    side_effect: "The next rollout on {node} took three minutes longer because base layers had to be \
                        pulled anew.",
                },
                Remedy {
                    workflow: "drain-node",
                    odds: 80,
                    rationale: &["Emptying {node} moves the load away and lets the autoscaler replace it with a \
                        fresh disk."],
                    helped: &["All pods have moved, the node was replaced. No eviction for {observed} minutes."],
                    not_helped: &["The drain stopped half-way at a disruption budget; the pods that remained went on \
                        being evicted one by one."],
                    side_effect: "The pool ran at {full} % of its memory while the new node came up, two batch pods \
                        stayed Pending.",
                },
            ],
            alternatives: &[
                ("restart-node-service", "the kubelet works as configured"),
                ("drain-node", "moves the pods, but leaves the disk full and the pool short of one node"),
                ("expand-volume", "the root disk of a node cannot be resized in place"),
            ],
        },
        Cause {
            name: "overcommit",
            place: Place::Node,
            runtimes: &[],
            signals: &["KubeNodePressure", "EvictionThresholdMet"],
            summary: &[
                "{node} is overcommitted: pods request {requested} % of its memory but use far more, because \
                    {greedy} of them run without a request. The node runs out before any pod reaches its limit.",
                "Memory of {node} is promised twice. Pods without requests were packed onto it until the kubelet had \
                    to evict.",
            ],
            openings: &[
                "MemoryPressure on {node} while no pod is over its limit. The scheduler believed there was room, \
                    because {greedy} pods told it nothing.",
                "The node ran short, not the containers: {node} was at {full} % of its memory when the evictions \
                    began.",
                "{evicted} evictions on {node} in {lasting} minutes. To the teams it looks like random pods \
                    restarting.",
            ],
            evidence: &[
                "sum of requests {requested} %, sum of use {full} %",
                "{greedy} pods of class BestEffort hold 21 GiB between them",
                "the scheduler placed five of them within a minute after a neighbouring node was removed",
                "kernel: allocation stalls and direct reclaim since {earlier}, load average 60",
                "working set available to the kubelet fell below 100 MiB twice",
            ],
            logs: &["kubelet: eviction manager: thresholds have been met: memory.available\nkubelet: evicting pod \
                {namespace}/{pod} (Burstable, exceeds request by 1.9Gi)"],
            reasoning: &[
                "Limits are respected, so this is not an OOM kill of one container; it is the sum that does not fit. \
                    Those who requested nothing are what the scheduler could not count.",
                "The same pods spread over three nodes ran without trouble until {earlier}.",
            ],
            notes: &[
                "{node} mem pressure, requests {requested}%, real use {full}%. BestEffort pods piled up. Drain, let \
                    scheduler spread.",
                "not OOM of a container: node level. Overcommit.",
            ],
            chain: &[
                "a node of the pool is removed and its pods look for a place",
                "pods without requests are packed onto {node}",
                "their use exceeds what is there",
                "the kubelet evicts, among others, {service}",
            ],
            factors: &["No default requests in two namespaces", "The descheduler is switched off in {cluster}"],
            remedies: &[Remedy {
                workflow: "drain-node",
                odds: 84,
                rationale: &[
                    "Cordon and drain spread the pods over the pool, where {calm} % is used on average.",
                    "The load fits the cluster, only not this node. Moving it is the direct answer.",
                ],
                helped: &[
                    "Pods of {node} were spread over four machines, the highest of which is at 70 %. No pressure \
                        anywhere.",
                    "After the drain MemoryPressure is gone and {service} has all {replicas} replicas.",
                ],
                not_helped: &["The greedy pods were packed onto {node2} together, which reported MemoryPressure ten \
                    minutes later. Without requests the scheduler repeats its mistake."],
                side_effect: "Draining moved a stateful pod across zones, its volume took six minutes to attach.",
            }],
            alternatives: &[
                ("increase-memory-limit", "limits are not reached; higher ones would make it worse"),
                ("clean-node-disk", "disk is at {calm} %"),
                ("move-pods", "there is no single neighbour to move, {greedy} pods share the blame"),
            ],
        },
        Cause {
            name: "kubelet-hangs",
            place: Place::Node,
            runtimes: &[],
            signals: &["KubeNodeNotReady"],
            summary: &[
                "The container runtime on {node} stopped answering; the kubelet's relist takes longer than three \
                    minutes and the node flips to NotReady although its pods run.",
                "{node} is not ready because PLEG is not healthy: containerd hangs on a lock since {earlier}.",
            ],
            openings: &[
                "{node} comes and goes: NotReady, Ready, NotReady, {attempts} times in {lasting} minutes. The \
                    machine itself is idle.",
                "Pods on {node} serve traffic, yet the control plane considers it dead and starts replacements.",
            ],
            evidence: &[
                "node condition: `PLEG is not healthy: pleg was last seen active 4m12s ago`",
                "`crictl ps` on {node} hangs, CPU and disk are idle",
                "{evicted} pods were rescheduled though the originals still answered",
                "containerd holds 3,900 goroutines, most of them waiting for one lock",
                "a runtime update was rolled to this pool two days ago",
            ],
            logs: &["kubelet: skipping pod synchronization - PLEG is not healthy\ncontainerd: failed to handle \
                event: context deadline exceeded"],
            reasoning: &[
                "Resources are plentiful, so it is not pressure; the one component that does not answer is the \
                    runtime. Until it is restarted every relist will time out.",
                "Hardware and network are ruled out by the pods, which keep serving.",
            ],
            notes: &[
                "PLEG unhealthy on {node}, containerd stuck. Restart runtime, no drain needed.",
                "NotReady flapping, idle box, crictl hangs. Kick containerd.",
            ],
            chain: &[
                "containerd blocks on an internal lock",
                "the kubelet cannot list its containers in time",
                "the node is marked NotReady",
                "replacements are started while the originals still run",
            ],
            factors: &["The runtime version has a known dead-lock when many exec probes run at once"],
            remedies: &[Remedy {
                workflow: "restart-node-service",
                odds: 86,
                rationale: &["Restarting containerd releases the lock; running containers survive it, and the node \
                    is ready again within a minute."],
                helped: &[
                    "The node has been Ready for {observed} minutes without a flip, relist takes 40 ms.",
                    "Runtime restarted, PLEG healthy, doubled pods were cleaned away.",
                ],
                not_helped: &["The runtime hung again after {lasting} minutes with the same stack. The node has to \
                    be replaced, and the pool's version looked at."],
                side_effect: "Exec probes failed during the restart, so {attempts} healthy pods were restarted too.",
            }],
            alternatives: &[
                ("drain-node", "eviction needs the very runtime that hangs"),
                ("clean-node-disk", "disk and inodes are fine"),
            ],
        },
        Cause {
            name: "pid-exhaustion",
            place: Place::Node,
            runtimes: &[],
            signals: &["KubeNodePressure", "EvictionThresholdMet"],
            summary: &[
                "A pod of {service} leaves child processes behind; {node} has no process ids left and reports \
                    PIDPressure.",
                "Zombies: {zombies} processes that {service} started and never reaped have used up the pid space of \
                    {node}.",
            ],
            openings: &[
                "`fork: Resource temporarily unavailable` on {node}. Neither memory nor disk is short, process ids \
                    are.",
                "New containers cannot start on {node} because no process can. The pid table is full.",
            ],
            evidence: &[
                "{zombies} of 32768 pids in use, most of them defunct children of one parent",
                "the parent is {pod}, which runs a shell wrapper as pid 1 that does not reap",
                "count of processes climbs by 9 a second, as often as its health script runs",
                "PIDPressure=True since {earlier}; kubelet evicted {evicted} pods by rank",
            ],
            logs: &["runtime/cgo: pthread_create failed: Resource temporarily unavailable\nsh: 1: Cannot fork"],
            reasoning: &["Dead children of one pod fill the table and everything else on the node suffers for it. \
                Ending that parent lets init reap them all at once."],
            notes: &[
                "pid table full on {node}, zombies of {pod}. Evict that pod, add an init.",
                "PIDPressure. {zombies} defunct. Not memory.",
            ],
            chain: &[
                "the health script of {service} starts a child per check",
                "pid 1 of the container never reaps",
                "the node's pid space is used up",
                "no process on {node} can fork any more",
            ],
            factors: &["No pod pid limit is set on the pool", "The image has no init process"],
            remedies: &[Remedy {
                workflow: "drain-node",
                odds: 78,
                rationale: &["Evicting the pods ends the parent, and with it its dead children; the others find room \
                    on healthy nodes meanwhile."],
                helped: &["Process count fell from {zombies} to 700 with the eviction of {pod}. Conditions are clear."],
                not_helped: &["The pod came up on {node2} and began to fill that node's table at the same rate."],
                side_effect: "A long-running export on {node} was cut off by the drain and starts from the beginning.",
            }],
            alternatives: &[
                ("restart-node-service", "the processes belong to a pod, not to the kubelet"),
                ("scale-out", "every replica leaks pids in the same way"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    figures(vec![
        ("lasting", draw.range(6, 48).to_string()),
        ("evicted", draw.range(4, 31).to_string()),
        ("calm", draw.range(38, 61).to_string()),
        ("full", draw.range(89, 98).to_string()),
        ("images", draw.range(140, 420).to_string()),
        ("garbage", draw.range(48, 170).to_string()),
        ("requested", draw.range(41, 68).to_string()),
        ("greedy", draw.range(7, 22).to_string()),
        ("attempts", draw.range(4, 15).to_string()),
        ("zombies", format!("{}", draw.range(29_800, 32_700))),
    ])
}
