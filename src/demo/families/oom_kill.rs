//! Incidents in which containers are killed because they use more memory than they may.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Runtime, Signal, figures};

pub static FAMILY: Family = Family {
    name: "oom-kill",
    weight: 4,
    severities: &["critical", "high", "high", "warning"],
    signals: &[
        Signal {
            name: "KubePodOOMKilled",
            source: "prometheus",
            summary: "{pod} was OOMKilled {kills} times in {window}",
            description: "Containers of {service} in {namespace} are terminated by the kernel for exceeding their \
                memory limit of {limit}. Pods are restarting; {ready} of {replicas} are ready.",
        },
        Signal {
            name: "ContainerMemoryNearLimit",
            source: "prometheus",
            summary: "{service}: working set above 95 % of the limit",
            description: "container_memory_working_set_bytes of {service} has been above 95 % of {limit} for \
                {window}. At the present slope the limit is reached within the quarter of an hour.",
        },
        Signal {
            name: "KubePodCrashLooping",
            source: "prometheus",
            summary: "Pods of {service} are restarting",
            description: "{pod} restarted {kills} times within {window}. Last termination: exit code 137.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "Node pressure is not the reason: {node} had {free} GiB to spare when the kill happened.",
        "No other tenant of {node} grew in the same window, so this is not a neighbour's doing.",
        "Traffic does not explain it; requests per second stayed within {traffic} % of last week's.",
        "CPU throttling is negligible and the garbage collector is not the bottleneck.",
    ],
    passed: &[
        "The working set fell back to {settled} {without anybody's doing|on its own} once {the burst of large \
            requests|the nightly import} was over, and no kill has been seen for {window}. Nothing needs to be done \
            now.",
        "The pod that was killed has since been replaced by the rollout of {version}, which carries the fix already. \
            The alert is an echo of the old replica set.",
    ],
    unclear: &[
        "Heap figures and the working set contradict each other: the process reports {settled}, the cgroup {used}. \
            Without a native memory profile it cannot be said who holds the difference.",
        "Two explanations fit equally well, a leak in the request path and a cache that was sized for larger pods. A \
            heap dump from a living replica would decide between them.",
    ],
    refusals: &[
        (
            "increase-memory-limit",
            "We raised this limit twice already this month. I want a heap dump before anyone \
            touches it again.",
        ),
        (
            "increase-memory-limit",
            "Not during the sale. Restart by hand if it gets worse and keep the limit where it \
            is.",
        ),
    ],
    causes: &[
        Cause {
            name: "heap-leak",
            place: Place::Workload,
            runtimes: &[Runtime::Jvm, Runtime::Node],
            signals: &[],
            summary: &[
                "{service} {version} leaks memory: {leaky objects are never released|sessions stay referenced after \
                    they end}, the heap grows by about {slope} MiB an hour until the container exceeds its {limit} \
                    limit and is killed.",
                "Since {version}, {service} keeps hold of finished requests. Its resident memory climbs without a \
                    plateau, and the kernel ends the process at {limit}.",
            ],
            openings: &[
                "{service} {role}. {Its pods have been|Pods of it are} restarting since {earlier}: each one lives \
                    for roughly {lifetime} minutes, fills its {limit} and is killed.",
                "Exit code 137 on {kills} containers of {service} within {window}. The pattern is a sawtooth: memory \
                    climbs in a straight line, the kernel steps in, the climb begins again.",
                "The application ran out of heap, not the node. {pod} was at {used} of {limit} when it was \
                    terminated, and the same happened to {pod2} a few minutes later.",
            ],
            evidence: &[
                "`container_memory_working_set_bytes` rises by {slope} MiB/h on every replica, regardless of traffic",
                "old generation after full collection: {settled} at start, {used} before the kill",
                "the slope begins with the rollout of {version} at {earlier}; {previous} was flat for nine days",
                "heap histogram of {pod}: {objects} instances of the same session holder, all reachable from one \
                    static map",
                "`kubectl describe pod {pod}` shows Last State: Terminated, Reason: OOMKilled, {kills} restarts",
            ],
            logs: &[
                "[{clock}:07] WARN  heap usage above 97 % after full collection\n[{clock}:09] WARN  {objects} \
                    listeners registered on SessionRegistry\nKilled",
                "Memory cgroup out of memory: Killed process 1 ({service}) anon-rss:{used}, oom_score_adj:936",
            ],
            reasoning: &[
                "A cache that is too large would level off; this does not. Growth that is proportional to requests \
                    served, and begins with a release, {is the signature of a leak|means that something keeps \
                    references}.",
                "More memory would only buy time: at {slope} MiB per hour, doubling the limit moves the kill from \
                    {lifetime} minutes to twice that. The release before did not do this.",
            ],
            notes: &[
                "137s on {service} again. Sawtooth since {version} went out {earlier}. Heap never shrinks after full \
                    GC => leak, not load. {previous} was fine.",
                "{pod}: {used}/{limit}, dead, back up, same slope. {objects} session holders on the heap. Going back \
                    to {previous} is the honest fix.",
            ],
            chain: &[
                "{version} registers a listener for every request and never removes it",
                "finished sessions stay reachable and the heap grows by {slope} MiB an hour",
                "the container reaches {limit} and the kernel kills it",
                "replicas die one after the other, the rest take their load and fill faster",
            ],
            factors: &[
                "The limit leaves {headroom} % above normal use, so a leak shows within the hour",
                "The load test of the release ran for ten minutes",
            ],
            remedies: &[
                Remedy {
                    workflow: "rollback-deployment",
                    odds: 93,
                    rationale: &[
                        "The leak came with {version}; {previous} ran for nine days on the same limit without a \
                            single kill.",
                        "Going back removes the cause. Anything that leaves {version} in place only chooses when the \
                            next kill comes.",
                    ],
                    helped: &[
                        "Memory of all {replicas} replicas is level at {settled} since the return to {previous}. No \
                            kill in {observed} minutes, the alert has cleared.",
                        "The sawtooth is gone. Old generation after collection stays where it was before the \
                            release, restarts stand still.",
                    ],
                    not_helped: &["{previous} grows as well, only more slowly: {settled} after ten minutes, {slope} \
                        MiB per hour. The leak must be older than the release that was blamed."],
                    side_effect: "The rollback took the new discount rules with it; {dependency} logs calls to a \
                        field that no longer exists.",
                },
                Remedy {
                    workflow: "restart-pods",
                    odds: 45,
                    rationale: &["A rolling restart frees what has leaked and gives about {lifetime} quiet minutes, \
                        enough to bring a fixed build out."],
                    helped: &["After the restart every replica is back at {settled}. The slope is unchanged, but the \
                        fixed build was rolled out before it mattered."],
                    not_helped: &["The restart bought {lifetime} minutes, no more. Working set is back above 95 % \
                        and the first container has been killed again; the cause is untouched."],
                    side_effect: "Sessions that were open on the restarted pods were lost, about two hundred people \
                        had to sign in again.",
                },
            ],
            alternatives: &[
                ("increase-memory-limit", "a leak fills any limit; at {slope} MiB/h the kill only comes later"),
                ("scale-out", "more replicas leak in parallel and {node} has no room for them"),
                ("restart-pods", "clears the heap but not the reason, good for {lifetime} minutes at most"),
            ],
        },
        Cause {
            name: "limit-too-low",
            place: Place::Workload,
            runtimes: &[],
            signals: &["KubePodOOMKilled", "KubePodCrashLooping"],
            summary: &[
                "The memory limit of {service} ({limit}) is below what it needs since {its data set grew|the \
                    catalogue doubled}: steady use is {used}, with peaks beyond the cap.",
                "Normal working memory of {service} has outgrown its {limit} limit. Nothing leaks; the allowance is \
                    simply too small.",
                "RSS of {service} grew past the cgroup cap: the steady state is now {used} where it was {settled} a \
                    month ago, and the limit stayed at {limit}.",
            ],
            openings: &[
                "{pod} exceeded its memory limit {kills} times in {window}. Between the kills it behaves: use is \
                    flat, just too close to the ceiling.",
                "{service} needs more room than it is given. It {role}, and the tables it holds in memory have grown \
                    month by month while the limit has not.",
                "The kernel terminates {service} under {limit} although nothing about the process is unusual. Its \
                    footprint has grown past the cgroup cap.",
            ],
            evidence: &[
                "steady working set {used}, limit {limit}; the same service in the other region runs with twice that \
                    and has no restarts",
                "no slope: memory levels off about four minutes after start and stays there until a request of more \
                    than 20 MB arrives",
                "thirty-day trend of the plateau: {settled} to {used}, in step with the number of records loaded",
                "kills coincide with the hourly reload, when old and new tables are both in memory",
            ],
            logs: &[
                "oom-kill:constraint=CONSTRAINT_MEMCG,task={service},pid=1,uid=10001\nMemory cgroup stats: anon \
                    {used} file 11M",
                "[{clock}:31] INFO  reload: 4.1 million records, building index\n[{clock}:44] Killed",
            ],
            reasoning: &[
                "Use that is flat for days and dies only at the reload is not a leak. The peak of two tables at once \
                    no longer fits.",
                "Since replicas on larger limits do not fail with the same build and the same data, {the limit is \
                    the one difference|what remains is the allowance}.",
            ],
            notes: &[
                "{service} killed at reload, {kills}x. Plateau {used}, cap {limit}. Not leaking. Needs a bigger cap, \
                    other region has one.",
                "Data grew, limit didn't. RSS flat otherwise. Raise to double, node has {free}G.",
            ],
            chain: &[
                "the loaded tables grow with the business",
                "the hourly reload holds old and new copies at once",
                "anonymous memory passes {limit} and the container is killed in the middle of the reload",
            ],
            factors: &[
                "Requests and limits were last reviewed eight months ago",
                "The reload builds a second copy instead of updating in place",
            ],
            remedies: &[Remedy {
                workflow: "increase-memory-limit",
                odds: 90,
                rationale: &[
                    "Doubling the limit covers the reload peak with a quarter to spare, and {node} has {free} GiB \
                        free.",
                ],
                helped: &[
                    "Three reloads have passed since without a kill; the peak reaches {used} of the new limit. All \
                        replicas ready.",
                    "Restarts stopped with the patch. Working set peaks well under the new cap and the alert \
                        resolved after {observed} minutes.",
                ],
                not_helped: &["The new limit was reached as well, at the second reload. The table that is loaded has \
                    a run-away tenant; memory use is not bounded by anything."],
                side_effect: "The larger request no longer fits {node2}; two pods of other teams had to move and one \
                    is still Pending.",
            }],
            alternatives: &[
                ("restart-pods", "they come back to the same plateau within four minutes"),
                ("rollback-deployment", "the build has not changed for three weeks, there is nothing to return to"),
                ("scale-out", "each replica loads the whole table, more of them do not make it smaller"),
            ],
        },
        Cause {
            name: "unbounded-batch",
            place: Place::Workload,
            runtimes: &[Runtime::Python, Runtime::Go, Runtime::Node],
            signals: &["KubePodOOMKilled", "KubePodCrashLooping"],
            summary: &[
                "One oversized request makes {service} read a whole result set into memory; the container passes \
                    {limit} within seconds and is OOM-killed.",
                "{service} buffers complete exports in memory. A tenant with {objects} rows is enough to exhaust the \
                    {limit} of a pod at once.",
            ],
            openings: &[
                "The memory graph of {service} is flat, then vertical: from {settled} to {limit} in under ten \
                    seconds, then the process is gone.",
                "Containers of {service} die without warning. There is no ramp to alert on; a single job takes all \
                    memory at once.",
                "{kills} kills in {window}, always while the same kind of work is in progress: a full export without \
                    a page size.",
            ],
            evidence: &[
                "every kill is preceded by a request for one and the same tenant, the largest by a factor of thirty",
                "the query behind it returns {objects} rows and is fetched in one go",
                "allocation profile: 91 % of live bytes sit in one list of row objects",
                "pods that do not get this tenant's work have been up for eleven days",
                "after the kill the job is handed to the next pod from {queue}, which then dies the same way",
            ],
            logs: &[
                "[{clock}:18] INFO  export started tenant=T-4471 rows={objects} page_size=none\n[{clock}:26] fatal: \
                    out of memory allocating 268435456 bytes",
                "[{clock}:18] job picked up, attempt {kills}\n[{clock}:25] signal: killed",
            ],
            reasoning: &[
                "A leak would need hours and a limit that is merely tight would hit all pods alike. Here one unit of \
                    work decides, and it wanders from pod to pod because it is never acknowledged.",
                "Raising the limit to fit this tenant would take several times the present size; the list has no \
                    upper bound, so the next tenant would break it again.",
            ],
            notes: &[
                "poison export, tenant T-4471, {objects} rows in one fetch. Each pod that picks it up from {queue} \
                    dies. Park the job.",
                "vertical memory jump, not a ramp. One job hops from pod to pod and kills each. Get it out of the \
                    queue, then tell the team to page the query.",
            ],
            chain: &[
                "an export without page size is queued for the largest tenant",
                "{service} reads {objects} rows into one list",
                "the container exceeds {limit} in seconds and is killed before it can acknowledge the job",
                "the job is redelivered and takes the next pod down",
            ],
            factors: &["Jobs are redelivered without limit", "The export has no maximum size"],
            remedies: &[Remedy {
                workflow: "park-poison-messages",
                odds: 88,
                rationale: &[
                    "With the one job parked the other work flows again; the export can be run by hand in pages.",
                ],
                helped: &[
                    "No container has been killed since the export was parked. {queue} drains at its normal rate and \
                        memory is flat at {settled}.",
                ],
                not_helped: &["A second export of the same kind was waiting behind the first and killed two more \
                    pods. Parking single jobs is not enough while the tenant keeps retrying."],
                side_effect: "The tenant's export is missing from today's delivery and somebody has to run it by hand.",
            }],
            alternatives: &[
                ("increase-memory-limit", "would have to be five times larger and still has no upper bound"),
                ("restart-pods", "they restart on their own; the job is what kills them"),
                ("scale-out", "gives the same job more pods to kill"),
            ],
        },
        Cause {
            name: "heap-flag-mismatch",
            place: Place::Workload,
            runtimes: &[Runtime::Jvm],
            signals: &["KubePodOOMKilled", "KubePodCrashLooping"],
            summary: &[
                "The JVM of {service} is allowed a heap as large as the container ({limit}); metaspace, threads and \
                    direct buffers come on top and push it over the cgroup limit.",
                "Maximum heap and container limit of {service} are both {limit}, so off-heap memory has no room and \
                    the kernel kills a JVM that believes it is healthy.",
            ],
            openings: &[
                "{service} dies with exit 137 and no OutOfMemoryError: the JVM never noticed. The heap was at 71 %, \
                    yet the process was over its limit.",
                "The kernel counts more than the heap does. {pod} used {used} in all when it was killed, of which \
                    the heap was barely two thirds.",
            ],
            evidence: &[
                "start-up flags contain `-Xmx` equal to the container limit, set in the chart that was merged with \
                    {version}",
                "native memory tracking: heap {settled}, threads 240 MB, direct buffers 310 MB, metaspace 190 MB",
                "no `java.lang.OutOfMemoryError` in any log, no heap dump written although the flag is set",
                "{previous} used `MaxRAMPercentage=65` and had room for all of this",
                "kills come at peaks of open connections, when each brings a thread and a buffer",
            ],
            logs: &["NOTE: Picked up JAVA_TOOL_OPTIONS: -Xmx{limit} -XX:MaxDirectMemorySize=512m\n[{clock}:52] last \
                heartbeat heap=71%\n(no further output)"],
            reasoning: &[
                "If the heap were the problem the JVM would say so and write a dump. That it is shot from outside \
                    with a third of the heap free {means the remainder is off-heap|leaves native memory}.",
                "The change of flags in {version} is the only difference to the release that ran without a kill.",
            ],
            notes: &[
                "no OutOfMemoryError, just 137. Xmx == limit since {version}. Off-heap has nowhere to go. Classic.",
                "JVM flags. Heap may fill the whole cgroup, threads + direct buffers push RSS over. Back to \
                    MaxRAMPercentage.",
            ],
            chain: &[
                "the chart sets the maximum heap to the container's limit",
                "threads and direct buffers need several hundred MB beside it",
                "at a peak of connections total memory passes {limit} and the kernel kills the process",
            ],
            factors: &["Heap dashboards look healthy and hide the problem"],
            remedies: &[Remedy {
                workflow: "restore-config",
                odds: 94,
                rationale: &["Putting the heap back to 65 % of the container leaves {headroom} % for everything off \
                    the heap, as it was before {version}."],
                helped: &[
                    "Total memory tops out at {settled} with the old flags. No kill at the evening peak of \
                        connections.",
                    "With `MaxRAMPercentage` back the process stays under its limit. Alert resolved, restart counter \
                        unchanged for {observed} minutes.",
                ],
                not_helped: &["Kills went on after the flags were restored: direct buffers alone grow to 900 MB \
                    under load. The pool of connections has no maximum."],
                side_effect: "With the smaller heap, collections are more frequent and the p99 latency rose by 35 ms.",
            }],
            alternatives: &[
                ("increase-memory-limit", "would work, but the heap follows the limit by template and eats it again"),
                ("rollback-deployment", "{version} also carries a security fix that must stay"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    let (limit, used, settled) = draw.pick(&[
        ("512Mi", "509Mi", "310Mi"),
        ("768Mi", "764Mi", "455Mi"),
        ("1Gi", "1019Mi", "640Mi"),
        ("1536Mi", "1522Mi", "890Mi"),
        ("2Gi", "2041Mi", "1180Mi"),
        ("3Gi", "3066Mi", "1.7Gi"),
        ("4Gi", "4089Mi", "2.3Gi"),
        ("6Gi", "6138Mi", "3.6Gi"),
    ]);
    figures(vec![
        ("limit", limit.to_string()),
        ("used", used.to_string()),
        ("settled", settled.to_string()),
        ("kills", draw.range(3, 19).to_string()),
        ("window", draw.pick(&["20 minutes", "half an hour", "45 minutes", "the last hour", "two hours"]).to_string()),
        ("slope", draw.range(38, 420).to_string()),
        ("lifetime", draw.range(9, 75).to_string()),
        ("objects", format!("{}{:03}", draw.range(112, 981), draw.range(0, 999))),
        ("free", draw.range(6, 41).to_string()),
        ("traffic", draw.range(3, 9).to_string()),
        ("headroom", draw.range(15, 35).to_string()),
    ])
}
