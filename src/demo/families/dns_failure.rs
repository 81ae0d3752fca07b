//! Incidents of names that cannot be resolved, or not in time.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "dns-failure",
    weight: 2,
    severities: &["critical", "high", "high"],
    signals: &[
        Signal {
            name: "CoreDNSErrorsHigh",
            source: "prometheus",
            summary: "CoreDNS answers {fails} % of queries with SERVFAIL",
            description: "CoreDNS in {cluster} returns SERVFAIL for {fails} % of queries since {earlier}. {service} \
                and others report unknown hosts.",
        },
        Signal {
            name: "UnknownHosts",
            source: "prometheus",
            summary: "{service} cannot resolve {dependency}",
            description: "{service} logs `no such host` for {dependency} {count} times a minute. {impact_now}.",
        },
        Signal {
            name: "ConnectionErrors",
            source: "prometheus",
            summary: "{service}: connections to {dependency} are refused",
            description: "{count} connections a minute from {service} to {dependency} are refused since {earlier}, \
                those of other callers succeed. {impact_now}.",
        },
        Signal {
            name: "DNSLatencyHigh",
            source: "prometheus",
            summary: "DNS look-ups take {slow} ms",
            description: "p99 of DNS look-ups in {cluster} is {slow} ms, the objective is 50 ms.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "{dependency} itself is up and reachable by address.",
        "Service and endpoints of {dependency} exist and are correct.",
        "Network policies allow port 53 from {namespace}, by UDP and TCP.",
        "The network of {cluster} carries other traffic without loss.",
    ],
    passed: &[
        "Look-ups recovered when the upstream provider ended its incident at {clock}. Errors are back at zero.",
        "The failing name had been retired on purpose; its last caller was switched off while this was investigated.",
    ],
    unclear: &[
        "One in {odd} look-ups fails, from all nodes and for all names, and no server in the chain admits to it. \
            Packet captures would be needed on both ends.",
        "Failures stop whenever tracing is switched on. The tools at hand change what they measure.",
    ],
    refusals: &[
        ("restart-dns", "Nobody restarts cluster DNS during business hours without me on the call."),
        ("tune-dns", "The Corefile is owned by the network team, they have a change of their own planned for tonight."),
    ],
    causes: &[
        Cause {
            name: "overloaded",
            place: Place::ClusterDns,
            runtimes: &[],
            signals: &["CoreDNSErrorsHigh", "UnknownHosts", "DNSLatencyHigh"],
            summary: &[
                "CoreDNS in {cluster} is overloaded: {servers} replicas at their CPU limit take {rate} queries a \
                    second, most of them needless search-domain look-ups (ndots 5).",
                "Two thirds of {rate} queries per second ask for names that cannot exist. CoreDNS is throttled and \
                    drops the rest.",
            ],
            openings: &[
                "Name resolution in {cluster} is slow and partly fails. CoreDNS is at its CPU limit since {earlier}.",
                "{service} cannot find {dependency}, nor can others find theirs: the cluster's DNS drops {fails} % \
                    of what it is asked.",
                "Timeouts everywhere and no service at fault: they have the resolver in common.",
            ],
            evidence: &[
                "CPU throttling of CoreDNS at 71 %, {servers} replicas",
                "{rate} queries/s, of them 66 % NXDOMAIN for \
                    `{dependency}.{namespace}.svc.cluster.local.{namespace}`-like names",
                "p99 of look-ups {slow} ms; clients give up after 5 s and ask again",
                "callers in {namespace} resolve external names with search domains, five queries for one answer",
                "replicas were set when the cluster had a third of its {nodes} nodes",
            ],
            logs: &["[ERROR] plugin/errors: 2 {dependency}. A: read udp: i/o timeout\n[WARNING] maximum concurrent \
                queries reached"],
            reasoning: &[
                "A server at its limit answers late, late answers are asked for again, and the load feeds itself. \
                    Fewer needless queries and more replicas both break the circle.",
                "Upstream answers in 3 ms when asked past CoreDNS, so the delay arises inside.",
            ],
            notes: &[
                "coredns throttled, {rate} qps, ndots noise. Scale + autopath.",
                "DNS p99 {slow}ms. {servers} replicas for {nodes} nodes is not enough.",
            ],
            chain: &[
                "external names are tried with every search domain first",
                "{rate} queries a second meet {servers} throttled replicas",
                "answers come too late and are asked for again",
                "{service} reports unknown hosts",
            ],
            factors: &["Replicas do not grow with the number of nodes", "No cache on the nodes"],
            remedies: &[
                Remedy {
                    workflow: "tune-dns",
                    odds: 90,
                    rationale: &[
                        "Doubling the replicas and switching on autopath cuts both the queries and the load per \
                            server.",
                        "The Corefile change removes four of five needless look-ups; capacity does the rest.",
                    ],
                    helped: &[
                        "p99 of look-ups is 9 ms, throttling has ended. {service} resolves {dependency} at the first \
                            try.",
                        "SERVFAIL is at zero for {observed} minutes and queries fell to a third.",
                    ],
                    not_helped: &["Queries fell, failures did not: {fails} % still time out. All failing clients sit \
                        on two nodes whose conntrack table is full."],
                    side_effect: "The larger number of replicas pushed two batch pods off the small nodes.",
                },
                Remedy {
                    workflow: "restart-dns",
                    odds: 38,
                    rationale: &["A restart clears the queue of waiting queries and may break the circle of repeats."],
                    helped: &["The restart emptied the queues and the repeats died down; look-ups are fast again."],
                    not_helped: &["For two minutes it looked well, then the same load had filled the same queues. \
                        Capacity is what is missing."],
                    side_effect: "During the restart no name was resolved for eleven seconds in all of {cluster}.",
                },
            ],
            alternatives: &[
                ("restart-dns", "the load is real and would be back at once"),
                ("restart-pods", "{service} is a victim, restarting it adds look-ups"),
                ("drain-node", "the trouble is not tied to a node"),
            ],
        },
        Cause {
            name: "bad-forwarder",
            place: Place::ClusterDns,
            runtimes: &[],
            signals: &["CoreDNSErrorsHigh", "DNSLatencyHigh"],
            summary: &[
                "The Corefile forwards to a resolver that was switched off at {earlier}; every second external \
                    look-up of {cluster} goes there and times out.",
                "One of two upstream resolvers is gone. CoreDNS keeps asking it in turn, so {fails} % of external \
                    names fail.",
            ],
            openings: &[
                "External names fail every other time in {cluster}. Internal ones are fine.",
                "Half of the look-ups are lost: {service} reaches {dependency}, but not the partner's API behind it.",
            ],
            evidence: &[
                "upstream 10.4.0.2 has not answered since {earlier}, 10.4.0.3 does",
                "the Corefile forwards to 10.4.0.2 and 10.4.0.3 in turn (round_robin), without a health check",
                "cluster-internal names resolve in 1 ms",
                "the network team's calendar shows the retirement of the old resolver",
            ],
            logs: &["[ERROR] plugin/errors: 2 api.partner.example. A: read udp 10.4.0.2:53: i/o timeout"],
            reasoning: &["Success and failure alternate like the two addresses do. With the dead one removed all \
                look-ups take the path that works."],
            notes: &[
                "dead upstream 10.4.0.2 in Corefile. Remove.",
                "external DNS 50% fail, retired resolver still listed.",
            ],
            chain: &[
                "the old resolver is retired",
                "the Corefile still lists it",
                "each look-up that is sent there waits for 5 s and fails",
            ],
            factors: &["forward has no health_check", "The address is written in four clusters by hand"],
            remedies: &[Remedy {
                workflow: "tune-dns",
                odds: 96,
                rationale: &["Dropping the retired address from the Corefile is a one-line change that CoreDNS picks \
                    up without a restart."],
                helped: &[
                    "External names resolve in 4 ms, no timeout has been logged since the reload.",
                    "With one good upstream left failures are at zero; a second one should be added.",
                ],
                not_helped: &["The patch was reverted by the configuration repository after {minutes} minutes and \
                    failures came back."],
                side_effect: "All external look-ups now depend on a single upstream resolver.",
            }],
            alternatives: &[
                ("restart-dns", "it would read the same Corefile"),
                ("scale-out", "more servers would forward to the same dead address"),
            ],
        },
        Cause {
            name: "stale-cache",
            place: Place::ClusterDns,
            runtimes: &[],
            signals: &["ConnectionErrors"],
            summary: &[
                "CoreDNS serves an old address of {dependency}: its watch of the API server broke at {earlier}, and \
                    it answers from a snapshot.",
                "Records in {cluster} are frozen since {earlier}; {dependency} has moved and DNS does not know.",
            ],
            openings: &[
                "{service} calls an address that {dependency} left {minutes} minutes ago. DNS gives it out all the \
                    same.",
                "Connections to {dependency} are refused for some callers only: those that were told its old address.",
            ],
            evidence: &[
                "{dependency} has new endpoints since {earlier}, CoreDNS returns the old ones",
                "one of {servers} replicas answers correctly, it was restarted this morning",
                "`watch of *v1.EndpointSlice ended` in the log, no new list after it",
                "answers alternate between old and new address depending on the replica",
            ],
            logs: &["[INFO] plugin/kubernetes: watch of *v1.EndpointSlice ended with: too old resource \
                version\n[ERROR] plugin/kubernetes: relist failed: Unauthorized"],
            reasoning: &["Replicas that lost their watch answer from the past and the restarted one does not, so a \
                restart renews what they know. Time to live plays no part, the source itself is old."],
            notes: &[
                "coredns lost its watch, serving old endpoints of {dependency}. Restart it.",
                "stale records. One replica ok after restart, others frozen.",
            ],
            chain: &[
                "the API server rotates its keys",
                "CoreDNS loses its watch and cannot list again",
                "{dependency} moves",
                "callers are sent to addresses that no longer exist",
            ],
            factors: &["Readiness of CoreDNS does not depend on a living watch"],
            remedies: &[Remedy {
                workflow: "restart-dns",
                odds: 93,
                rationale: &["A rolling restart makes each replica list afresh; one by one, so that names are \
                    resolved throughout."],
                helped: &[
                    "All replicas return the present address of {dependency}. {service} connects.",
                    "Watches are alive and refused connections have ended.",
                ],
                not_helped: &["The replicas cannot list after the restart either: their token is not accepted. DNS \
                    is now worse than before."],
                side_effect: "Look-ups were slow for half a minute while the caches filled.",
            }],
            alternatives: &[
                ("restart-pods", "{service} would ask the same stale server"),
                ("tune-dns", "the configuration is right"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    figures(vec![
        ("fails", draw.range(8, 55).to_string()),
        ("count", draw.range(40, 900).to_string()),
        ("slow", draw.range(800, 5_000).to_string()),
        ("rate", format!("{},{:03}", draw.range(14, 61), draw.range(0, 999))),
        ("servers", draw.range(2, 3).to_string()),
        ("odd", draw.range(40, 400).to_string()),
    ])
}
