//! Incidents of services that fail because another one, which they need, does.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "dependency-outage",
    weight: 3,
    severities: &["critical", "high", "high"],
    signals: &[
        Signal {
            name: "UpstreamErrors",
            source: "prometheus",
            summary: "{service}: {errors} % of calls to {dependency} fail",
            description: "{errors} % of calls from {service} to {dependency} fail since {earlier}. {impact_now}.",
        },
        Signal {
            name: "HighErrorRate",
            source: "prometheus",
            summary: "{service} answers {errors} % of requests with 5xx",
            description: "The share of failed requests of {service} rose to {errors} % within {lasting} minutes.",
        },
        Signal {
            name: "SyntheticCheckFailed",
            source: "blackbox",
            summary: "Journey through {service} fails",
            description: "The synthetic journey stops at {service}, step 3, since {earlier}. {impact_now}.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "{service} was neither deployed nor reconfigured today.",
        "Calls of {service} to anything but {dependency} succeed.",
        "{database} is quick and has room.",
        "Routing and name resolution towards {dependency} are fine.",
    ],
    passed: &[
        "{dependency} came back at {clock} without anything being done here; {service} recovered within a minute.",
        "{dependency}'s owners failed over by themselves while this was investigated. Calls succeed.",
    ],
    unclear: &["{dependency} reports itself healthy and {service} reports it dead. The two sides do not share a \
        trace, so one of them is wrong and it cannot be said which."],
    refusals: &[
        ("switch-to-fallback", "The fallback shows old prices. Legal does not allow that, better an error page."),
        ("", "{dependency} says it is back in five minutes. I would rather wait."),
    ],
    causes: &[
        Cause {
            name: "hard-down",
            place: Place::Workload,
            runtimes: &[],
            signals: &[],
            summary: &[
                "{dependency} is down, and {service} has no answer without it: {errors} % of its requests fail.",
                "{service} fails because {dependency} refuses connections since {earlier}. It is a victim, not the \
                    cause.",
            ],
            openings: &[
                "{service} reports errors, {dependency} is the reason. Its port refuses connections from everywhere.",
                "The outage seen at {service} begins one step behind it. {dependency} stopped answering at {earlier}.",
                "{impact_now}. The trail leads through {service}, which works, to {dependency}, which does not.",
            ],
            evidence: &[
                "connection refused from {dependency} on all its addresses",
                "four other callers of {dependency} show the same error from the same minute",
                "{service} answers requests that do not need {dependency}",
                "the on-call of {dependency} has opened an incident",
                "the circuit breaker of {service} is set to 100 % and never opens",
            ],
            logs: &["[{clock}:33] ERROR call to {dependency} failed: connect: connection refused\n[{clock}:33] ERROR \
                502 returned to caller"],
            reasoning: &["All callers fail alike and {service} is well wherever it can do without, so repairing \
                {service} is pointless. What can be done here is to live without {dependency} for a while."],
            notes: &[
                "{dependency} down, {service} collateral. Open circuit, serve fallback.",
                "not us: {dependency} refuses connections. Fallback on until they are back.",
            ],
            chain: &["{dependency} goes down", "{service} waits for it and returns errors", "{impact}"],
            factors: &["The circuit breaker is configured never to open", "{dependency} runs in one zone only"],
            remedies: &[Remedy {
                workflow: "switch-to-fallback",
                odds: 87,
                rationale: &["The fallback answers from the last good data; most users will not notice, and the \
                    circuit closes when {dependency} is back."],
                helped: &[
                    "Errors of {service} fell to 0.4 % with the fallback. {dependency} returned {lasting} minutes \
                        later and the circuit closed.",
                    "Users are served from cached data; the journey passes.",
                ],
                not_helped: &["The fallback's data had expired and was refused by {service} itself. Errors stayed at \
                    {errors} %."],
                side_effect: "Orders were accepted on data that was {lasting} minutes old, eleven of them had to be \
                    corrected.",
            }],
            alternatives: &[
                ("restart-pods", "{service} is not ill"),
                ("rollback-deployment", "nothing was deployed"),
                ("scale-out", "more callers for a service that is down"),
            ],
        },
        Cause {
            name: "slow-dependency",
            place: Place::Workload,
            runtimes: &[],
            signals: &[],
            summary: &[
                "{dependency} answers in {slow} s instead of 40 ms; the threads of {service} are all waiting for it, \
                    so that even requests without need of it hang.",
                "Slow, not dead: {dependency} ties up every worker of {service}, whose time limit of 30 s is far too \
                    patient.",
            ],
            openings: &[
                "{service} hangs on everything, because everything shares a thread pool with calls to {dependency}.",
                "A slow partner is worse than a dead one: {service} waits {slow} s for each answer of {dependency} \
                    and has no thread left for anything else.",
            ],
            evidence: &[
                "all 200 threads of {pod} in a read from {dependency}",
                "{dependency} p50 {slow} s since {earlier}",
                "health check of {service} times out as well, pods are restarting",
                "CPU 3 %, memory normal",
                "client time limit 30 s, no bulkhead",
            ],
            logs: &["\"http-worker-181\" waiting on socketRead {dependency}:443\n\"http-worker-182\" waiting on \
                socketRead {dependency}:443"],
            reasoning: &["Threads are the scarce good, and one destination holds all of them. Cutting that call off \
                gives the service its threads back; restarting would fill them again within seconds."],
            notes: &[
                "threads of {service} all stuck in {dependency}, {slow}s. Open circuit.",
                "thread starvation through slow {dependency}. Pods restarting is a side show.",
            ],
            chain: &[
                "{dependency} slows down to {slow} s",
                "threads of {service} wait for it one after the other",
                "no thread is left, health checks included",
                "the kubelet restarts pods and the rest get their load",
            ],
            factors: &["Time limit of 30 s", "One thread pool for all destinations"],
            remedies: &[
                Remedy {
                    workflow: "switch-to-fallback",
                    odds: 90,
                    rationale: &["Opening the circuit to {dependency} frees the threads at once; nine of ten \
                        requests do not depend on its answer."],
                    helped: &[
                        "Threads in use fell from 200 to 14, {service} answers. The circuit stays open until \
                            {dependency} is below 1 s.",
                        "No restart since the circuit opened, latency is normal.",
                    ],
                    not_helped: &["The circuit opened for the main client; a second one, in a library, goes on \
                        waiting and holds the threads."],
                    side_effect: "Answers lacked the part that {dependency} provides, the page had a gap.",
                },
                Remedy {
                    workflow: "restart-pods",
                    odds: 20,
                    rationale: &["A restart frees the threads for the moment, in the hope that {dependency} has \
                        recovered."],
                    helped: &["{dependency} had recovered in the same minute; after the restart all threads are free."],
                    not_helped: &["Within forty seconds of the restart all threads were waiting for {dependency} \
                        again."],
                    side_effect: "Requests in flight were lost with the restart.",
                },
            ],
            alternatives: &[
                ("scale-out", "new threads end up waiting as well"),
                ("adjust-pool-size", "twice the threads are twice the waiters"),
                ("adjust-probe", "would hide that nobody is served"),
            ],
        },
        Cause {
            name: "contract-change",
            place: Place::Workload,
            runtimes: &[],
            signals: &[],
            summary: &[
                "{dependency} changed a field in its answers at {earlier}; {service} cannot read them and treats \
                    every answer as an error.",
                "Since the release of {dependency} {service} fails to parse what it gets: a number arrives as text.",
            ],
            openings: &[
                "{dependency} answers with 200 and {service} still fails: it does not understand the answer any more.",
                "Both sides are up, both sides are healthy, and they no longer speak the same language.",
            ],
            evidence: &[
                "parse error in {service} for every answer of {dependency} since {earlier}",
                "release of {dependency} at {earlier}: field `amount` turned from number to string",
                "status codes are all 200",
                "other callers, which ignore that field, work",
                "{service} itself is unchanged for {days} days",
            ],
            logs: &["[{clock}:21] ERROR cannot deserialize `amount`: expected number, got string \"12.90\" \
                ({dependency})"],
            reasoning: &["An answer that arrives and cannot be read is a matter of format. Its change coincides with \
                the other side's release to the minute."],
            notes: &[
                "{dependency} changed `amount` to string, {service} chokes. Fallback until they revert.",
                "contract break upstream. Not reachable issue, parse issue.",
            ],
            chain: &[
                "{dependency} is released with a changed field",
                "{service} cannot parse its answers",
                "it reports errors although both are up",
            ],
            factors: &["No contract test between the two", "The change was announced in a channel nobody reads"],
            remedies: &[Remedy {
                workflow: "switch-to-fallback",
                odds: 81,
                rationale: &["Until {dependency} takes the change back, stored values serve; they are a day old at \
                    most."],
                helped: &["{service} serves stored values and has no more errors; {dependency} has agreed to revert \
                    today."],
                not_helped: &["Stored values cover existing articles only; for new ones {service} still fails, \
                    {errors} % of requests."],
                side_effect: "Two price changes of this morning are not shown yet.",
            }],
            alternatives: &[
                ("rollback-deployment", "{service} has not changed, and the other side belongs to another team"),
                ("restart-pods", "the answers will look the same"),
            ],
        },
        Cause {
            name: "expired-credential",
            place: Place::Workload,
            runtimes: &[],
            signals: &[],
            summary: &[
                "The client credential of {service} for {dependency} ran out at {earlier}; each call is answered \
                    with 401.",
                "{dependency} no longer accepts the token of {service}, which was issued {days} days ago and lasts \
                    just as long.",
            ],
            openings: &[
                "{dependency} is up and turns {service} away. The credential has come to its end.",
                "401 on every call to {dependency} since {earlier}, to the second the end of a validity.",
            ],
            evidence: &[
                "token claims: exp = {earlier} today",
                "other clients of {dependency} are served",
                "vault holds a newer credential, issued last week",
                "no network error, answers come in 5 ms",
            ],
            logs: &["[{clock}:02] WARN  {dependency} answered 401 invalid_client\n[{clock}:02] ERROR giving up, no \
                other credential"],
            reasoning: &["Who is turned away by a healthy partner has the wrong papers. Newer ones lie ready in \
                vault."],
            notes: &[
                "client credential for {dependency} expired. New one in vault, write + restart.",
                "401 not 5xx: token of {service} is over.",
            ],
            chain: &[
                "the credential reaches its end",
                "{dependency} answers 401",
                "{service} fails all requests that need it",
            ],
            factors: &["Nobody is told before a credential ends"],
            remedies: &[Remedy {
                workflow: "restore-secret",
                odds: 95,
                rationale: &["Writing the credential that lies in vault and restarting is all it takes."],
                helped: &[
                    "Calls are accepted since the restart with the new credential.",
                    "401s ended, {service} serves.",
                ],
                not_helped: &["The newer credential lacks a scope: instead of 401 the answer is 403."],
                side_effect: "A second service that shares the secret was restarted as well.",
            }],
            alternatives: &[
                ("switch-to-fallback", "possible, but the cure is quicker than the crutch"),
                ("renew-certificate", "the certificate is valid, it is the token that is not"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    figures(vec![
        ("errors", draw.range(11, 92).to_string()),
        ("lasting", draw.range(6, 44).to_string()),
        ("slow", draw.range(6, 28).to_string()),
        ("days", draw.pick(&["30", "60", "90", "180"]).to_string()),
    ])
}
