//! Incidents of more traffic than the workload can take, with its autoscaler at the end of its range.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "traffic-surge",
    weight: 2,
    severities: &["critical", "high", "warning"],
    signals: &[
        Signal {
            name: "KubeHpaMaxedOut",
            source: "prometheus",
            summary: "Autoscaler of {service} is at its maximum",
            description: "HorizontalPodAutoscaler {service} has been at {replicas} replicas, its maximum, for \
                {lasting} minutes; utilisation is {cpu} % of the target of 70 %.",
        },
        Signal {
            name: "RequestRateAnomaly",
            source: "prometheus",
            summary: "{service}: {times} times the usual traffic",
            description: "{service} receives {rps} requests a second, {times} times the usual number for this hour.",
        },
        Signal {
            name: "HighErrorRate",
            source: "prometheus",
            summary: "{service} rejects {errors} % of requests",
            description: "{errors} % of requests to {service} end with 503 or a timeout since {earlier}.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "Cost per request is the same as last week, so the build is not slower.",
        "{database} has a third of its capacity left.",
        "All pods take an equal share of the load; balancing is fine.",
    ],
    passed: &[
        "Traffic fell back to its usual level {lasting} minutes after it rose; the television spot that caused it is \
            over.",
        "The autoscaler found room by itself when the nodes it was waiting for had joined. {cpu} % became 64 %.",
    ],
    unclear: &["The additional requests look like customers and behave unlike them. Whether this is a campaign or an \
        attack has to be judged by somebody who knows the calendar."],
    refusals: &[
        ("", "That is our own load test, announced in the channel. Let it hit the ceiling."),
        (
            "raise-autoscaler-maximum",
            "More pods mean more connections to {database}, and that one is the real limit. \
            Shed load instead.",
        ),
    ],
    causes: &[
        Cause {
            name: "campaign",
            place: Place::Autoscaler,
            runtimes: &[],
            signals: &[],
            summary: &[
                "A campaign multiplies the traffic of {service} by {times}; its autoscaler stands at the maximum of \
                    {replicas} and may not go further.",
                "{service} needs more replicas than its autoscaler is allowed: {rps} requests a second against a \
                    ceiling set for a third of it.",
            ],
            openings: &[
                "More customers than expected: {service} gets {rps} requests a second, {times} times the usual. It \
                    has scaled as far as it may.",
                "The autoscaler of {service} has reached the end of its range at {replicas} and demand has not.",
                "Slow answers and 503s at {service}, all pods at {cpu} % of their target. This is plain load.",
            ],
            evidence: &[
                "HPA condition ScalingLimited=True, reason TooManyReplicas",
                "{rps} requests/s from ordinary clients, spread over all regions",
                "newsletter sent at {earlier}, first rise two minutes later",
                "cluster has free capacity for twice {replicas} pods",
                "latency grows with utilisation only, no errors below 85 %",
            ],
            logs: &["horizontal-pod-autoscaler: desired replicas limited by maxReplicas={replicas}"],
            reasoning: &["Every figure is what one expects of {times} times the traffic, and the one thing that \
                prevents scaling is a number. It can be raised, the nodes are there."],
            notes: &[
                "HPA maxed at {replicas}, real traffic x{times}. Raise max.",
                "newsletter. {service} at {cpu}% of target, nodes have room.",
            ],
            chain: &[
                "a newsletter goes out",
                "traffic rises to {times} times the usual",
                "the autoscaler stops at {replicas}",
                "pods saturate and requests are rejected",
            ],
            factors: &["Marketing's calendar is not known to operations", "The maximum dates from last year"],
            remedies: &[
                Remedy {
                    workflow: "raise-autoscaler-maximum",
                    odds: 91,
                    rationale: &["Doubling the maximum lets the autoscaler do its work; capacity for it is free in \
                        {cluster}."],
                    helped: &[
                        "The autoscaler went past its old ceiling within three minutes, utilisation is at target, \
                            errors ended.",
                        "Rejections fell from {errors} % to none as the new pods became ready.",
                    ],
                    not_helped: &["Twice the pods brought {database} to its connection limit; errors moved one step \
                        further back."],
                    side_effect: "The pool had to add four nodes, which nobody had budgeted for.",
                },
                Remedy {
                    workflow: "shed-load",
                    odds: 78,
                    rationale: &["Limiting anonymous traffic at the edge keeps {service} usable for those who are \
                        buying."],
                    helped: &["With the limit in place signed-in users are served at normal speed; a tenth of \
                        visitors saw a waiting page."],
                    not_helped: &["The limit hit search engines and hardly anybody else. {service} is as loaded as \
                        before."],
                    side_effect: "A partner's integration without sign-in was limited as well and complained.",
                },
            ],
            alternatives: &[
                ("restart-pods", "takes pods away when all are needed"),
                ("increase-cpu-limit", "nodes are filled better by more pods than by larger ones"),
                ("scale-out", "the autoscaler would undo it at once"),
            ],
        },
        Cause {
            name: "crawler",
            place: Place::Workload,
            runtimes: &[],
            signals: &["RequestRateAnomaly", "HighErrorRate"],
            summary: &[
                "A crawler fetches every filter combination of {service} with {rps} requests a second; {errors} % of \
                    real requests suffer for it.",
                "One client produces {share} % of the traffic of {service}. It is a robot, and scaling for it would \
                    be a waste.",
            ],
            openings: &[
                "{share} % of what {service} answers goes to a single user agent.",
                "The surge at {service} is not made of customers: it walks through every page in alphabetical order.",
            ],
            evidence: &[
                "{share} % of requests from two networks with one user agent",
                "no cookies, no images, no pause",
                "cache hit ratio down to 9 %, since each address is asked for once",
                "ordinary traffic is unchanged",
            ],
            logs: &[
                "GET /list?colour=red&size=9&sort=9&page=8812 200 {slow}ms ua=\"fetcher/2.1\"",
                "top talkers: 198.51.100.0/24 {share}%",
            ],
            reasoning: &["Without these two networks the load is that of an ordinary day. Limiting them costs nobody \
                an order."],
            notes: &[
                "bot, {share}% of traffic, 2 nets. Rate limit.",
                "crawler through facets of {service}. Shed, don't scale.",
            ],
            chain: &[
                "a crawler begins to walk all combinations of filters",
                "nothing of it is in the cache",
                "{service} computes each page",
                "customers wait",
            ],
            factors: &["The edge has no limit by client", "Filter pages are not excluded from crawling"],
            remedies: &[Remedy {
                workflow: "shed-load",
                odds: 92,
                rationale: &["A limit for the two networks at the edge brings the load back to normal within seconds."],
                helped: &[
                    "The crawler gets 429, {service} is at its usual load.",
                    "Customers' p95 is normal, {share} % of requests are turned away at the edge.",
                ],
                not_helped: &["The crawler changed to hundreds of addresses within minutes. A limit by address no \
                    longer catches it."],
                side_effect: "One office behind the same network could not use the shop for half an hour.",
            }],
            alternatives: &[
                ("raise-autoscaler-maximum", "pays for pods that serve a robot"),
                ("scale-out", "the crawler would just go faster"),
            ],
        },
        Cause {
            name: "retry-storm",
            place: Place::Workload,
            runtimes: &[],
            signals: &["RequestRateAnomaly", "HighErrorRate"],
            summary: &[
                "Clients of {service} repeat failed calls at once and without limit: a pause of two seconds turned \
                    into {times} times the traffic that does not end.",
                "A retry storm holds {service} down. Most of the {rps} requests a second are repeats of ones that \
                    timed out.",
            ],
            openings: &[
                "{service} was gone for two seconds at {earlier} and has not recovered since: everybody asks again, \
                    faster than it can answer.",
                "The load on {service} is of its own making, or rather of its clients' impatience.",
            ],
            evidence: &[
                "the same request ids appear up to 14 times",
                "{share} % of requests carry x-retry above 0",
                "user sessions are at their normal number",
                "the first peak follows a failover of {dependency} by one second",
                "work is done for callers that have hung up: {errors} % of answers go nowhere",
            ],
            logs: &["request abandoned by client after 1000ms, still processing\nx-retry=9 id=8fd2"],
            reasoning: &["The number of users is normal, the number of requests is not, and the difference carries \
                retry headers. Turning part of it away lets the rest succeed, and success ends the repeats."],
            notes: &[
                "retry storm on {service}, x{times}, trigger was {dependency} failover. Shed until it calms.",
                "not customers, repeats. Rate limit briefly.",
            ],
            chain: &[
                "{dependency} fails over and calls time out for two seconds",
                "clients repeat at once and in step",
                "{service} is overloaded and times out more",
                "the repeats feed the overload",
            ],
            factors: &["Clients retry without back-off", "No retry budget"],
            remedies: &[Remedy {
                workflow: "shed-load",
                odds: 86,
                rationale: &["Rejecting a share of requests early costs little, and what gets through is answered in \
                    time; the circle ends in a minute."],
                helped: &["Ninety seconds of shedding ended the storm; the limit has been lifted again and traffic \
                    is normal."],
                not_helped: &["Rejected calls were repeated as eagerly as slow ones. Load on the edge doubled and \
                    {service} did not recover."],
                side_effect: "About two thousand honest requests were rejected in that minute.",
            }],
            alternatives: &[
                ("scale-out", "new pods are overrun before they are warm"),
                ("restart-pods", "each restart starts the next wave of repeats"),
                ("raise-autoscaler-maximum", "reacts in minutes, the storm needs seconds"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    figures(vec![
        ("lasting", draw.range(6, 35).to_string()),
        ("cpu", draw.range(131, 240).to_string()),
        ("times", draw.range(3, 9).to_string()),
        ("rps", format!("{},{:03}", draw.range(2, 19), draw.range(0, 999))),
        ("errors", draw.range(5, 37).to_string()),
        ("share", draw.range(41, 83).to_string()),
        ("slow", draw.range(700, 2_400).to_string()),
    ])
}
