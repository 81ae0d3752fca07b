//! Incidents of databases that answer late: pools that are empty, locks that are held, plans that are bad.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "slow-database",
    weight: 3,
    severities: &["critical", "high", "warning"],
    signals: &[
        Signal {
            name: "DatabaseLatencyHigh",
            source: "prometheus",
            summary: "{database}: p95 of queries {slow} ms",
            description: "Queries of {service} against {database} take {slow} ms at p95, {fast} ms is normal. \
                {waiting} sessions are waiting.",
        },
        Signal {
            name: "ConnectionPoolExhausted",
            source: "prometheus",
            summary: "{service} waits for connections to {database}",
            description: "All {pool} connections of the pool of {service} are in use, {waiting} requests wait. \
                Acquire time is above {slow} ms.",
        },
        Signal {
            name: "HighErrorRate",
            source: "prometheus",
            summary: "{service}: {errors} % of requests time out",
            description: "{errors} % of requests to {service} fail with a timeout since {earlier}.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "The storage system behind {database} reports no fault.",
        "CPU of the primary is at {cpu} %, replication lag below a second.",
        "No release of {service} in the last three days.",
        "Network round trip between {service} and {database} is 0.4 ms.",
        "Autovacuum keeps up, no table is near wraparound.",
    ],
    passed: &[
        "The reporting query that held everybody up finished at {clock}; waiting sessions are gone and p95 is {fast} \
            ms.",
        "A backup had taken the disk's throughput for {lasting} minutes. It is done, latency is as usual.",
    ],
    unclear: &[
        "Latency of {service} and load of {database} do not move together, and pg_stat_statements was reset at \
            {earlier}. The evidence is gone.",
        "Queries are quick when run by hand and slow from {service}. Between the two lies a proxy that exports no \
            metrics.",
    ],
    refusals: &[
        ("terminate-blocking-session", "That session is the month-end run of finance. It stays, everybody else waits."),
        ("adjust-pool-size", "A larger pool only moves the queue into the database. We tried that in March."),
    ],
    causes: &[
        Cause {
            name: "pool-too-small",
            place: Place::Workload,
            runtimes: &[],
            signals: &["ConnectionPoolExhausted", "HighErrorRate"],
            summary: &[
                "The connection pool of {service} ({pool}) is too small for its load: requests wait {slow} ms for a \
                    connection while {database} is bored.",
                "{service} starves before {database} does: {pool} connections per pod are all taken and {waiting} \
                    requests queue for them.",
            ],
            openings: &[
                "{service} looks like a slow database and is not. Queries take {fast} ms; waiting for a connection \
                    takes the rest.",
                "{errors} % time-outs in {service}. All of them in the same place, before the first byte goes to \
                    {database}.",
            ],
            evidence: &[
                "pool: {pool} of {pool} in use, {waiting} waiting",
                "time in queries {fast} ms, time to acquire a connection {slow} ms",
                "{database} at {cpu} % CPU with two thirds of its connections free",
                "load per pod doubled when the number of replicas was reduced at {earlier}",
                "workers wait for a connection in every sample of the profile",
            ],
            logs: &["[{clock}:17] ERROR connection is not available, request timed out after {slow}ms (total={pool}, \
                active={pool}, idle=0, waiting={waiting})"],
            reasoning: &["The database does its part in {fast} ms; the queue is in front of it. As it has \
                connections to spare, the pool may grow."],
            notes: &[
                "pool exhausted on {service} ({pool}), db idle. Raise pool.",
                "acquire {slow}ms, query {fast}ms => pool, not db.",
            ],
            chain: &[
                "fewer replicas carry the same load",
                "each needs more than {pool} connections",
                "requests wait for one and time out",
            ],
            factors: &["Pool size is fixed per pod, replicas are not", "Dashboards show total latency only"],
            remedies: &[Remedy {
                workflow: "adjust-pool-size",
                odds: 88,
                rationale: &["Twice {pool} per pod stays below what {database} allows and covers today's peak."],
                helped: &[
                    "Acquire time is 1 ms, no request waits. {database} is at {cpu} % as before.",
                    "Time-outs ended as the pods with the larger pool came up.",
                ],
                not_helped: &["The larger pool is full as well after {lasting} minutes: connections are not given \
                    back. There is a leak in the new bulk endpoint."],
                side_effect: "{database} ran close to its connection limit, an administrator's session was refused \
                    once.",
            }],
            alternatives: &[
                ("restart-pods", "the pool would be full again within a minute"),
                ("terminate-blocking-session", "no session blocks another"),
                ("scale-out", "works, but costs a pod for what a number can do"),
            ],
        },
        Cause {
            name: "lock-contention",
            place: Place::Database,
            runtimes: &[],
            signals: &[],
            summary: &[
                "A session left open in a transaction holds a lock in {database} since {earlier}; {waiting} others \
                    queue behind it.",
                "{waiting} sessions of {database} wait for one: pid {pid}, idle in transaction for {lasting} \
                    minutes, holding a lock on the busiest table.",
                "An ALTER TABLE waits for a long transaction, and every query on {database} waits for the ALTER TABLE.",
            ],
            openings: &[
                "{database} is idle and slow at once: nearly all its sessions wait for a lock.",
                "Requests of {service} hang and then time out. {database} has nothing to do, since everybody stands \
                    in the same queue.",
                "One forgotten transaction is enough: {waiting} sessions are lined up behind pid {pid}.",
            ],
            evidence: &[
                "pg_stat_activity: {waiting} sessions in wait_event relation or transactionid",
                "all chains of pg_blocking_pids end in {pid}",
                "pid {pid} is idle in transaction for {lasting} minutes, from a console of a developer machine",
                "lock mode AccessExclusive on the table that {service} reads most",
                "CPU of {database} fell to {cpu} % when the queue began",
            ],
            logs: &[
                "LOG: process {pid} still holding AccessExclusiveLock after {slow} ms\nDETAIL: Processes waiting: \
                    {waiting}",
                "ERROR: canceling statement due to lock timeout",
            ],
            reasoning: &[
                "Low CPU with long waits means locks. The tree of blockers has a single root, and that root is doing \
                    nothing at all.",
                "Ending one idle session costs one unfinished transaction; leaving it costs every request.",
            ],
            notes: &[
                "lock queue on {database}, root blocker pid {pid}, idle in tx {lasting} min. Kill it.",
                "{waiting} waiters, one blocker. Terminate.",
            ],
            chain: &[
                "a console session opens a transaction and is forgotten",
                "a schema change waits for it",
                "every later query waits for the schema change",
                "{service} times out",
            ],
            factors: &["idle_in_transaction_session_timeout is off", "The schema change ran without lock_timeout"],
            remedies: &[Remedy {
                workflow: "terminate-blocking-session",
                odds: 93,
                rationale: &["Terminating pid {pid} dissolves the queue at once; its transaction has written nothing \
                    for {lasting} minutes."],
                helped: &[
                    "The queue of {waiting} sessions was gone within two seconds. p95 is {fast} ms.",
                    "Blocker ended, lock released, {service} answers. No data was lost: the transaction was read only.",
                ],
                not_helped: &["The same client reconnected and took the lock again {lasting} seconds later; the job \
                    behind it has to be stopped."],
                side_effect: "The pending schema change then ran at once, in the middle of the day.",
            }],
            alternatives: &[
                ("adjust-pool-size", "more connections would only lengthen the queue"),
                ("restart-pods", "waiting clients are not the holders"),
                ("refresh-statistics", "plans are fine, they are not being executed"),
            ],
        },
        Cause {
            name: "stale-statistics",
            place: Place::Database,
            runtimes: &[],
            signals: &["DatabaseLatencyHigh"],
            summary: &[
                "After the import at {earlier} the planner of {database} works with outdated statistics and reads a \
                    whole table for what an index would give; p95 is {slow} ms.",
                "{database} chose a bad plan: it expects {few} rows and gets {many}. The statistics are from before \
                    the bulk load.",
            ],
            openings: &[
                "One query of {service} went from {fast} ms to {slow} ms over night, and it is the one that is run \
                    most.",
                "{database} reads tables from end to end. The indexes are there, the planner does not use them.",
            ],
            evidence: &[
                "estimated rows {few}, actual {many}",
                "sequential scan in place of an index scan since the import",
                "last_analyze is {days} days ago, two thirds of the table are newer",
                "autovacuum's analyse was cancelled by the import's own lock",
                "buffers read per call: 190,000 instead of 40",
            ],
            logs: &["Seq Scan on items (cost=0.00..184032 rows={few}) (actual rows={many} loops=1)\nExecution Time: \
                {slow} ms"],
            reasoning: &["Estimate and reality differ by orders of magnitude, and the age of the statistics explains \
                by how much. No lock and no pool is involved."],
            notes: &[
                "bad plan after import, stats old. ANALYZE.",
                "{database}: seq scan, est {few} vs {many}. Refresh statistics.",
            ],
            chain: &[
                "an import replaces most of a table",
                "statistics are not renewed",
                "the planner prefers a sequential scan",
                "each request of {service} reads the whole table",
            ],
            factors: &["The import does not end with ANALYZE"],
            remedies: &[Remedy {
                workflow: "refresh-statistics",
                odds: 89,
                rationale: &["ANALYZE takes a minute, locks nobody out and gives the planner true numbers."],
                helped: &[
                    "The index is used again, {fast} ms at p95. CPU of {database} halved.",
                    "Estimates are within a factor of two of the truth; latency is normal.",
                ],
                not_helped: &["Statistics are fresh and the plan is the same: two correlated columns mislead the \
                    planner still."],
                side_effect: "A nightly report got a new plan too and takes twice as long as before.",
            }],
            alternatives: &[
                ("terminate-blocking-session", "nobody blocks"),
                ("increase-cpu-limit", "a faster full scan is still a full scan"),
                ("adjust-pool-size", "connections are plentiful"),
            ],
        },
        Cause {
            name: "report-query",
            place: Place::Database,
            runtimes: &[],
            signals: &["DatabaseLatencyHigh"],
            summary: &[
                "A reporting job reads {many} rows from the primary of {database} and pushes everybody's pages out \
                    of the cache; queries of {service} go to disk.",
                "Analytics on the primary: the job of {earlier} evicted the working set of {database} from memory.",
            ],
            openings: &[
                "Since {earlier} {database} reads from disk what it used to have in memory. Something large passed \
                    through.",
                "{service} slows down at the hour of the reports. It is not its own queries that changed.",
            ],
            evidence: &[
                "cache hit ratio fell from 99.6 to 71 %",
                "one session of the reporting user runs for {lasting} minutes and has read {many} rows",
                "it connects to the primary, although a replica exists for this",
                "every query of {service} is slower by the same factor, those on tiny tables excepted",
            ],
            logs: &["duration: {slow} ms  statement: SELECT … (shared hit=12 read=8840)"],
            reasoning: &["All queries suffer at once and reads replace hits: the cache has been taken over. The one \
                session that reads millions of rows is the reason, and it is in the wrong place."],
            notes: &[
                "report on primary of {database}, cache gone. Suspend the job, point it at the replica.",
                "hit ratio down, big scan by reporting user.",
            ],
            chain: &[
                "the report's connection string names the primary",
                "its scan evicts the cache",
                "queries of {service} wait for the disk",
            ],
            factors: &["Reporting may connect to primaries"],
            remedies: &[Remedy {
                workflow: "suspend-jobs",
                odds: 87,
                rationale: &["Suspending the job lets the cache fill again; it can be repeated on the replica at \
                    night."],
                helped: &["Hit ratio was back at 99 % after six minutes, p95 at {fast} ms."],
                not_helped: &["The job is suspended, its session is not: the query runs on in the server and the \
                    cache stays cold."],
                side_effect: "The report of the morning is missing, its readers were told.",
            }],
            alternatives: &[
                ("terminate-blocking-session", "ends the query, the schedule starts it again in five minutes"),
                ("scale-out", "more pods ask the same cold cache"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    let (fast, slow) = draw.pick(&[(4, 1_900), (8, 2_600), (12, 4_100), (6, 870), (21, 5_200)]);
    figures(vec![
        ("fast", fast.to_string()),
        ("slow", (slow + draw.range(0, 400)).to_string()),
        ("waiting", draw.range(17, 190).to_string()),
        ("pool", draw.pick(&["8", "10", "12", "15", "20"]).to_string()),
        ("errors", draw.range(4, 38).to_string()),
        ("cpu", draw.range(9, 34).to_string()),
        ("pid", draw.range(1_200, 64_000).to_string()),
        ("lasting", draw.range(6, 58).to_string()),
        ("days", draw.range(3, 19).to_string()),
        ("few", draw.range(12, 480).to_string()),
        ("many", format!("{}.{} million", draw.range(1, 18), draw.range(1, 9))),
    ])
}
