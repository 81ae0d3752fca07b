//! Incidents of queues that fill faster than they are emptied.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "queue-backlog",
    weight: 3,
    severities: &["high", "warning", "warning"],
    signals: &[
        Signal {
            name: "ConsumerLagHigh",
            source: "prometheus",
            summary: "{service} is {lag} messages behind on {queue}",
            description: "The lag of consumer group {service} on {queue} is {lag} and rising by {growth} a minute. \
                The oldest message is {age} minutes old.",
        },
        Signal {
            name: "QueueDepth",
            source: "prometheus",
            summary: "{queue} holds {lag} messages",
            description: "{queue} holds {lag} messages, ten times its usual depth. Delivery to {service} is delayed \
                by {age} minutes.",
        },
        Signal {
            name: "DeliveryDelay",
            source: "prometheus",
            summary: "{service}: oldest unprocessed message {age} minutes",
            description: "Messages wait {age} minutes before {service} takes them. The objective is 2 minutes.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "The broker is well: no partition without a leader, disks at a third.",
        "Network between {namespace} and the broker shows neither loss nor delay.",
        "Authorisation and quotas of the consumer group are unchanged.",
        "The message format has not changed for months.",
    ],
    passed: &[
        "The backlog melted away without help: the producer had caught up with its nightly load and {service} \
            drained {queue} within {age} minutes.",
        "{lag} messages were a planned replay by the owning team. They knew, the alert did not.",
    ],
    unclear: &[
        "Lag grows on two partitions of {queue} only, and the consumers that read them look no different from their \
            siblings. A thread dump would tell, but the pods have been replaced meanwhile.",
        "Throughput halves every forty minutes and recovers without a pattern that any metric explains.",
    ],
    refusals: &[
        (
            "scale-consumers",
            "More consumers would hammer {database} even harder. Let it drain slowly, nobody is \
            waiting for these.",
        ),
        (
            "park-poison-messages",
            "Those messages are bookings. Nobody moves them anywhere before finance has had a \
            look.",
        ),
    ],
    causes: &[
        Cause {
            name: "too-few-consumers",
            place: Place::Workload,
            runtimes: &[],
            signals: &[],
            summary: &[
                "{queue} receives {inflow} messages a second, {consumers} consumers of {service} manage {outflow}. \
                    The gap has added up to {lag} messages.",
                "Demand outgrew the consumers: {service} works at full capacity and still falls behind on {queue}.",
            ],
            openings: &[
                "{service} is healthy and busy, there is simply more in {queue} than {consumers} consumers can take.",
                "Lag of {lag} on {queue}. No errors, no restarts, every consumer saturated.",
                "What comes in has doubled since {earlier}; what goes out has not. {service} falls {growth} messages \
                    further behind each minute.",
            ],
            evidence: &[
                "inflow {inflow}/s, outflow {outflow}/s, both steady for {minutes} minutes",
                "each consumer at 96 % CPU, 24 partitions for {consumers} consumers",
                "processing time per message unchanged at 38 ms",
                "retries and dead letters at their usual level",
                "the campaign mail of {earlier} explains the extra events",
            ],
            logs: &["GROUP {service} TOPIC {queue} LAG {lag} MEMBERS {consumers} PARTITIONS 24"],
            reasoning: &[
                "Time per message is the same as ever and nothing fails, so each consumer does what it can. There \
                    are partitions to spare for more of them.",
                "A slow dependency would show in the time per message; it does not.",
            ],
            notes: &[
                "{queue} lag {lag}, in {inflow}/s out {outflow}/s, consumers pegged, partitions free. Add consumers.",
                "just volume. Scale {service} up until drained.",
            ],
            chain: &[
                "a campaign doubles what is published to {queue}",
                "{consumers} consumers run at their limit",
                "the difference waits in the queue and delivery is delayed by {age} minutes",
            ],
            factors: &["Consumers scale on CPU with a maximum that was set two years ago"],
            remedies: &[Remedy {
                workflow: "scale-consumers",
                odds: 91,
                rationale: &[
                    "Doubling the consumers uses the 24 partitions and drains the backlog in about {age} minutes.",
                    "Partitions and database have room; more consumers are the plain answer.",
                ],
                helped: &[
                    "Outflow rose above inflow at once and lag was back under 1,000 within half an hour.",
                    "{queue} is empty. The additional consumers can go after the campaign.",
                ],
                not_helped: &["With twice the consumers each is half as fast: all of them now wait for {database}. \
                    Lag goes on rising."],
                side_effect: "Connections to {database} went up to 92 % of its maximum while the backlog was worked \
                    off.",
            }],
            alternatives: &[
                ("restart-pods", "rebalancing would stop all consumers for a minute and gain nothing"),
                ("park-poison-messages", "no message fails"),
                ("increase-cpu-limit", "helps by a third at most, more partitions can be used instead"),
            ],
        },
        Cause {
            name: "poison-message",
            place: Place::Workload,
            runtimes: &[],
            signals: &[],
            summary: &[
                "One malformed message at offset {offset} of {queue} fails, is retried for ever and blocks \
                    everything behind it on its partition.",
                "A poison message blocks {queue}: {service} cannot read it, does not skip it, and starts over each \
                    time.",
            ],
            openings: &[
                "{queue} does not move on one partition. {service} takes the same message, fails, and takes it again.",
                "Lag on {queue} grows on a single partition. The others are empty.",
                "{service} is stuck on one event. Its consumers look alive, their pods are restarting every few \
                    minutes.",
            ],
            evidence: &[
                "committed offset of partition 3 stands at {offset} since {earlier}",
                "the same stack trace {growth} times a minute",
                "the message at {offset} has an empty body and a header of a retired producer",
                "23 of 24 partitions have no lag",
                "no dead-letter queue is configured for this group",
            ],
            logs: &["[{clock}:09] ERROR cannot decode message partition=3 offset={offset}: unexpected end of \
                input\n[{clock}:09] seeking back to {offset}"],
            reasoning: &[
                "An offset that does not move while its reader logs the same failure is one message, not a lack of \
                    capacity. Only taking it out of the way lets the rest pass.",
                "More consumers cannot help: a partition has one reader.",
            ],
            notes: &[
                "poison msg p3@{offset} on {queue}. Park it, resume.",
                "{service} stuck on offset {offset}, decode error. Not a capacity problem.",
            ],
            chain: &[
                "a retired producer publishes an empty message",
                "{service} fails to decode it and seeks back",
                "the partition stands still at {offset}",
                "{lag} messages wait behind it",
            ],
            factors: &["There is no dead-letter queue", "The consumer does not count its tries"],
            remedies: &[
                Remedy {
                    workflow: "park-poison-messages",
                    odds: 94,
                    rationale: &["Moving the message at {offset} to the parking queue keeps it for inspection and \
                        frees the partition."],
                    helped: &[
                        "The partition moves again and caught up in {age} minutes. One message is parked.",
                        "No decode error since; lag is at its usual level.",
                    ],
                    not_helped: &["Behind {offset} waited {growth} more of the same kind. Parking them one by one \
                        does not keep up with the producer that still sends them."],
                    side_effect: "Order within the partition was broken for one customer, who got two mails the \
                        wrong way round.",
                },
                Remedy {
                    workflow: "restart-pods",
                    odds: 12,
                    rationale: &["A restart may clear a stuck consumer; it is cheap to try."],
                    helped: &["After the restart the message was read: a broken cache entry, not the message, had \
                        been at fault."],
                    not_helped: &["After the restart the consumers came back to offset {offset} and failed on it \
                        again. Nothing has changed."],
                    side_effect: "The rebalance stopped all 24 partitions for forty seconds.",
                },
            ],
            alternatives: &[
                ("scale-consumers", "one partition has one reader, more of them stay idle"),
                ("restart-pods", "they resume at the same offset"),
            ],
        },
        Cause {
            name: "slow-downstream",
            place: Place::Workload,
            runtimes: &[],
            signals: &[],
            summary: &[
                "{service} waits for {dependency}, which answers in {slow} ms instead of 30; consumers are idle most \
                    of the time and {queue} fills up.",
                "The backlog in {queue} is second-hand: {dependency} has become slow, and every message needs a call \
                    to it.",
            ],
            openings: &[
                "{service} falls behind on {queue} while its CPU is at 6 %. It waits for somebody else.",
                "Messages take {slow} ms each where 30 were normal. All of the difference is one call to {dependency}.",
            ],
            evidence: &[
                "span to {dependency}: p50 {slow} ms since {earlier}",
                "consumers at 6 % CPU, threads parked in the HTTP client",
                "outflow {outflow}/s, it was {inflow}/s in the same hour yesterday",
                "{dependency} throttles by caller: header `x-ratelimit-remaining: 0`",
            ],
            logs: &["[{clock}:44] WARN  {dependency} answered in {slow}ms (limit 100ms)\n[{clock}:45] WARN  poll \
                interval exceeded, partition revoked"],
            reasoning: &["Consumers that wait are not helped by more consumers, they would only wait in greater \
                number and be throttled sooner. The slow call has to be avoided or taken out of the path."],
            notes: &[
                "lag on {queue} is {dependency} throttling us. {slow}ms/call. Use the cached answers for now.",
                "consumers idle, waiting on {dependency}. Fallback.",
            ],
            chain: &[
                "{dependency} throttles its callers",
                "each message of {queue} takes {slow} ms",
                "consumers exceed their poll interval and are rebalanced",
                "the backlog reaches {lag}",
            ],
            factors: &["Calls are made one by one although a batch call exists"],
            remedies: &[Remedy {
                workflow: "switch-to-fallback",
                odds: 83,
                rationale: &["With cached answers instead of live calls the consumers run at their old speed; \
                    freshness of a few minutes is acceptable here."],
                helped: &["Time per message is back at 30 ms and {queue} drained in {age} minutes. The circuit \
                    closes by itself when {dependency} recovers."],
                not_helped: &["The cache covers a fifth of the messages only, the others still wait. Lag rises more \
                    slowly, but it rises."],
                side_effect: "Some customers were served data that was {age} minutes old.",
            }],
            alternatives: &[
                ("scale-consumers", "would be throttled all the sooner"),
                ("increase-cpu-limit", "CPU is idle"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    let inflow = draw.range(180, 2_400);
    let outflow = inflow * draw.range(38, 76) / 100;
    figures(vec![
        ("lag", format!("{},{:03}", draw.range(18, 940), draw.range(0, 999))),
        ("growth", draw.range(40, 900).to_string()),
        ("age", draw.range(7, 58).to_string()),
        ("inflow", inflow.to_string()),
        ("outflow", outflow.to_string()),
        ("consumers", draw.range(3, 8).to_string()),
        ("offset", draw.range(1_204_118, 98_412_007).to_string()),
        ("slow", draw.range(340, 2_600).to_string()),
    ])
}
