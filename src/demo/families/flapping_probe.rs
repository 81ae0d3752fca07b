//! Incidents of probes that fail though the workload could serve.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Runtime, Signal, figures};

pub static FAMILY: Family = Family {
    name: "flapping-probe",
    weight: 2,
    severities: &["high", "warning", "warning"],
    signals: &[
        Signal {
            name: "KubePodNotReady",
            source: "prometheus",
            summary: "{pod} goes in and out of readiness",
            description: "Readiness of {service} changed {flips} times within {lasting} minutes. Endpoints are added \
                and removed all the time.",
        },
        Signal {
            name: "Unhealthy",
            source: "kubernetes-events",
            summary: "Liveness probe failed on {pod}",
            description: "Liveness probe failed: Get http://10.12.4.8:8080/healthz: context deadline exceeded. \
                {flips} times; pods are restarting.",
        },
        Signal {
            name: "EndpointChurn",
            source: "prometheus",
            summary: "Endpoints of {service} churn",
            description: "{flips} endpoint changes of {service} in {lasting} minutes, callers see connection resets.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "No container ends by itself, there is no crash behind this.",
        "Memory is far from its limit.",
        "{database} answers {service} as quickly as ever.",
        "The kubelets of the failing and the calm nodes run the same version.",
    ],
    passed: &[
        "The flapping ended with the garbage collection storm of the morning; probes have been steady for {lasting} \
            minutes.",
        "It was the load test of the team, announced for {earlier}. Probes are quiet since it stopped.",
    ],
    unclear: &[
        "Probes fail on {node} only and succeed from a debug pod on the same node at the same moment. What lies \
            between kubelet and pod cannot be inspected with the tools at hand.",
    ],
    refusals: &[
        (
            "adjust-probe",
            "The probe is right: a service that needs {slow} ms to say it is alive is not well. Find \
            out why.",
        ),
        ("adjust-probe", "Relaxing probes is how we missed the last outage. No."),
    ],
    causes: &[
        Cause {
            name: "timeout-too-short",
            place: Place::Workload,
            runtimes: &[],
            signals: &["Unhealthy", "EndpointChurn"],
            summary: &[
                "The liveness probe of {service} allows {allowed} ms; under load the health endpoint needs {slow} \
                    ms, so healthy pods are killed and the rest get more load.",
                "Probe timeout of {allowed} ms is too tight for {service} at peak. The kubelet restarts pods that \
                    are merely busy.",
            ],
            openings: &[
                "{service} is killed for being busy. Each restart leaves fewer pods for the same traffic, which \
                    makes the next one slower.",
                "Pods of {service} are restarting, and it is the kubelet that restarts them: the probe gives up \
                    after {allowed} ms.",
                "No crash, no memory problem, yet {flips} restarts. The liveness probe is the killer.",
            ],
            evidence: &[
                "probe timeoutSeconds below what /healthz takes at p95 ({slow} ms) during the peak",
                "exit code 143 on all restarts, preceded by `Liveness probe failed`",
                "requests in flight finished normally up to the second of the kill",
                "restarts follow the traffic curve, none at night",
                "health requests share one thread pool with customers' requests",
            ],
            logs: &["Warning Unhealthy kubelet Liveness probe failed: context deadline exceeded (Client.Timeout \
                exceeded while awaiting headers)\nNormal Killing kubelet Container {service} failed liveness probe, \
                will be restarted"],
            reasoning: &[
                "A pod that completes its requests until it is shot is alive. The limit of {allowed} ms measures \
                    load, not life.",
                "Killing slow pods under load is a circle that feeds itself; giving the probe more time breaks it.",
            ],
            notes: &[
                "liveness {allowed}ms vs {slow}ms at peak. Kubelet kills healthy pods. Relax probe.",
                "143s, not 137s. Probe too tight on {service}.",
            ],
            chain: &[
                "traffic rises and /healthz takes {slow} ms",
                "the probe gives up after {allowed} ms",
                "the kubelet restarts the pod",
                "the remaining pods get its traffic and become slower still",
            ],
            factors: &["Liveness and readiness use the same endpoint", "The probe was copied from a template"],
            remedies: &[
                Remedy {
                    workflow: "adjust-probe",
                    odds: 91,
                    rationale: &["Five times the timeout and three more failures before a kill: busy pods survive, \
                        dead ones are still found within a minute."],
                    helped: &[
                        "No restart for {observed} minutes at the same traffic. All {replicas} replicas are ready.",
                        "With the relaxed probe the churn has ended; health answers take up to {slow} ms and are \
                            accepted.",
                    ],
                    not_helped: &["Pods are no longer killed, but callers time out instead: {service} really is too \
                        slow at peak."],
                    side_effect: "A pod that did hang an hour later was found forty seconds later than before.",
                },
                Remedy {
                    workflow: "scale-out",
                    odds: 74,
                    rationale: &["More replicas lower the load per pod and with it the time the health endpoint \
                        needs."],
                    helped: &["With three more replicas /healthz answers within {allowed} ms and the kills have \
                        stopped."],
                    not_helped: &["The new pods were killed during their warm-up, as tight as the probe is."],
                    side_effect: "The namespace is two pods short of its quota now.",
                },
            ],
            alternatives: &[
                ("restart-pods", "restarts are the problem"),
                ("increase-memory-limit", "memory plays no part"),
                ("scale-out", "treats the load and leaves the trap in place"),
            ],
        },
        Cause {
            name: "probe-checks-dependency",
            place: Place::Workload,
            runtimes: &[],
            signals: &["KubePodNotReady", "EndpointChurn"],
            summary: &[
                "The readiness probe of {service} calls {dependency}; each hiccup there takes all replicas out of \
                    rotation at once.",
                "{service} declares itself unready whenever {dependency} is slow, though it could serve most \
                    requests without it.",
            ],
            openings: &[
                "All {replicas} replicas of {service} leave the endpoints in the same second and come back in the \
                    same second. Pods do not fail in step; what they ask does.",
                "{flips} flips of readiness in {lasting} minutes, always all pods together.",
            ],
            evidence: &[
                "readiness handler makes a call to {dependency} with a limit of {allowed} ms",
                "flips coincide with pauses of {dependency} of 1 to 2 s",
                "during the flips 80 % of request types would not have needed {dependency}",
                "callers get 503 from the gateway: no endpoints available",
            ],
            logs: &["GET /ready 503 {allowed}ms check={dependency} state=down\nGET /ready 200 3ms"],
            reasoning: &["Independent pods that flip together are asking the same third party. Readiness should tell \
                about the pod; here it tells about {dependency}."],
            notes: &[
                "readiness of {service} depends on {dependency}. Shallow check instead.",
                "all replicas unready in sync => shared check.",
            ],
            chain: &[
                "{dependency} pauses for a second",
                "every readiness probe of {service} fails",
                "the endpoints are empty and callers get 503",
            ],
            factors: &["One endpoint serves both as status page and as probe"],
            remedies: &[Remedy {
                workflow: "adjust-probe",
                odds: 90,
                rationale: &["Pointing the probe to /ready/self keeps pods in rotation while {dependency} recovers; \
                    the handler exists already."],
                helped: &[
                    "{dependency} paused twice since and {service} stayed in rotation. No 503 from the gateway.",
                    "Endpoints are stable, partial answers are served during pauses.",
                ],
                not_helped: &["The shallow probe keeps pods in rotation, but requests without {dependency} hang \
                    instead of failing fast."],
                side_effect: "During a pause users now see empty fields instead of an error page.",
            }],
            alternatives: &[
                ("restart-pods", "the pods are fine"),
                ("switch-to-fallback", "hides the pauses from users, the probe would still fail"),
            ],
        },
        Cause {
            name: "slow-start",
            place: Place::Workload,
            runtimes: &[Runtime::Jvm, Runtime::Python],
            signals: &["Unhealthy"],
            summary: &[
                "{service} needs {boot} s to start since its data grew; the liveness probe begins after 30 s and \
                    kills it before it is up.",
                "Start-up of {service} takes longer than its probe has patience: {boot} s against 30. It never gets \
                    to serve.",
            ],
            openings: &[
                "{service} does not crash, it is never allowed to finish starting.",
                "New pods of {service} are killed at second 60 of a start that takes {boot}.",
            ],
            evidence: &[
                "every kill comes 60 s after start, three failed probes after the initial delay of 30 s",
                "log shows warm-up at 70 % when the process is ended",
                "a pod without probe was up and correct after {boot} s",
                "no startupProbe is defined",
            ],
            logs: &["[start+58s] INFO  warm-up 71 %\n[start+60s] INFO  received SIGTERM"],
            reasoning: &["The start makes steady progress and is cut off at the same second each time. What is \
                missing is time, and a startup probe is made for that."],
            notes: &[
                "killed mid warm-up, {boot}s start vs 30s delay. Add startupProbe.",
                "{service} never becomes ready because liveness kills it at 60s.",
            ],
            chain: &[
                "warm-up data grows",
                "starting takes {boot} s",
                "liveness begins after 30 s and fails",
                "the pod is restarted before it was up",
            ],
            factors: &["The initial delay was measured two years ago"],
            remedies: &[Remedy {
                workflow: "adjust-probe",
                odds: 95,
                rationale: &["A startup probe of three minutes lets the warm-up finish; liveness stays as strict as \
                    before afterwards."],
                helped: &["All pods were ready {boot} s after their start and have not been restarted since."],
                not_helped: &["With time to finish, the start fails on its own at 90 %: a table of the warm-up is \
                    missing."],
                side_effect: "Rollouts of {service} take two minutes longer.",
            }],
            alternatives: &[
                ("rollback-deployment", "the previous version starts just as slowly"),
                ("increase-cpu-limit", "the warm-up waits for the network, not for CPU"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    let allowed = draw.pick(&[200, 300, 500, 1_000]);
    figures(vec![
        ("allowed", allowed.to_string()),
        ("slow", (allowed * draw.range(14, 41) / 10).to_string()),
        ("flips", draw.range(11, 84).to_string()),
        ("lasting", draw.range(8, 45).to_string()),
        ("boot", draw.range(66, 160).to_string()),
    ])
}
