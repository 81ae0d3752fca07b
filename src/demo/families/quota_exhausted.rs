//! Incidents of namespaces that have used up what they are granted.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "quota-exhausted",
    weight: 2,
    severities: &["high", "warning", "warning"],
    signals: &[
        Signal {
            name: "KubeQuotaExceeded",
            source: "prometheus",
            summary: "{namespace} has used its quota of {resource}",
            description: "ResourceQuota {namespace}-quota: {resource} at 100 %. {service} wants {replicas} replicas \
                and has {ready}.",
        },
        Signal {
            name: "FailedCreate",
            source: "kubernetes-events",
            summary: "Error creating pods of {service}: forbidden, exceeded quota",
            description: "pods \"{pod}\" is forbidden: exceeded quota: {namespace}-quota, requested: {resource}, \
                {tries} times since {earlier}.",
        },
        Signal {
            name: "KubeDeploymentReplicasMismatch",
            source: "prometheus",
            summary: "{service} has {ready} of {replicas} replicas",
            description: "{service} in {namespace} has been below its replicas for {tries} minutes; no pod is Pending.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "The cluster has room: {idle} % of the nodes' CPU is unrequested.",
        "Pods that do exist are healthy; none is restarting.",
        "Priority classes and limit ranges were not changed.",
    ],
    passed: &["The test run that filled the quota ended at {clock} and gave back what it held; {service} has all its \
        replicas."],
    unclear: &[
        "Usage as counted by the quota exceeds the sum over all pods by a fifth. The counter may be wrong, which \
            only a restart of the controller manager would show.",
    ],
    refusals: &[
        (
            "raise-quota",
            "{namespace} has been told three times to stay within its quota. Clean up first, then we \
            talk about more.",
        ),
        ("raise-quota", "Budget for this quarter is spent. Ask me again on the first."),
    ],
    causes: &[
        Cause {
            name: "finished-jobs",
            place: Place::Quota,
            runtimes: &[],
            signals: &[],
            summary: &[
                "{junk} finished job pods in {namespace} still count against the quota of {resource}; {service} \
                    cannot start a replica.",
                "The quota of {namespace} is used up by leftovers: {junk} completed pods that nobody deletes.",
            ],
            openings: &[
                "{service} wants another replica and gets a refusal. {namespace} has no {resource} left, mostly \
                    because of pods that ended long ago.",
                "A rollout stands still without any failing pod: the pods cannot even be created.",
                "{tries} refusals to create pods in {namespace}. Its quota is eaten by the dead.",
            ],
            evidence: &[
                "{junk} pods in phase Succeeded or Failed, the oldest {days} days old",
                "quota {resource}: used equals hard; without the finished pods it would be at {real} %",
                "ttlSecondsAfterFinished is missing from the cron job that makes them",
                "events: FailedCreate for the replica set of {service}, {tries} times",
            ],
            logs: &["Error creating: pods \"{pod}\" is forbidden: exceeded quota: {namespace}-quota, requested: \
                {resource}=1, used: {resource}=hard"],
            reasoning: &["What is in use by living pods is {real} %. Deleting what has ended gives the namespace its \
                room back and costs nobody anything."],
            notes: &[
                "{namespace} quota full of completed pods ({junk}). Delete, add ttl.",
                "not a crash: pods can't be created. Old jobs eat the quota.",
            ],
            chain: &[
                "a cron job leaves its pods behind",
                "{junk} of them count against the quota",
                "new pods of {service} are refused",
            ],
            factors: &["No time to live on finished jobs", "The quota counts objects, not only running ones"],
            remedies: &[
                Remedy {
                    workflow: "clear-finished-pods",
                    odds: 94,
                    rationale: &["Removing pods that ended is safe, their logs are kept elsewhere, and it frees \
                        {junk} places at once."],
                    helped: &[
                        "{junk} leftovers deleted, the quota is at {real} %. {service} has {replicas} replicas.",
                        "The pending rollout went through a minute after the clean-up.",
                    ],
                    not_helped: &["The cron job made new ones faster than they were deleted; the quota was full \
                        again within {tries} minutes."],
                    side_effect: "The exit codes of last night's jobs can no longer be read from the cluster.",
                },
                Remedy {
                    workflow: "raise-quota",
                    odds: 85,
                    rationale: &["A quota raised by a fifth lets {service} start at once, the clean-up can follow in \
                        daylight."],
                    helped: &["With the larger quota all replicas of {service} are running."],
                    not_helped: &["The raised quota was used up by further job pods before {service} got its turn."],
                    side_effect: "Requested CPU of {cluster} is above the agreed reserve now.",
                },
            ],
            alternatives: &[
                ("raise-quota", "the namespace does not need more, it needs to tidy up"),
                ("restart-pods", "a deleted pod might not be created again at all"),
                ("drain-node", "nodes have room"),
            ],
        },
        Cause {
            name: "grown-demand",
            place: Place::Quota,
            runtimes: &[],
            signals: &[],
            summary: &[
                "{namespace} runs {more} % more than when its quota of {resource} was set; the last replica of \
                    {service} no longer fits.",
                "Honest growth: the living pods of {namespace} use all the {resource} they are granted.",
            ],
            openings: &[
                "{namespace} has outgrown its quota. Nothing is left over and nothing is wasted, there is just more \
                    to run.",
                "{service} should have {replicas} replicas for the evening and gets {ready}: {resource} of the \
                    namespace is spent.",
            ],
            evidence: &[
                "all counted pods are running and in use, no finished ones among them",
                "requests of the namespace rose by {more} % in {days} days, in line with traffic",
                "the autoscaler of {service} asks for {replicas} and is refused",
                "the cluster has {idle} % to spare",
            ],
            logs: &["autoscaler: desired {replicas}, created {ready}, FailedCreate x{tries}: exceeded quota: \
                {namespace}-quota"],
            reasoning: &["There is nothing to tidy up, and the cluster could carry more. What stands in the way is a \
                number from last year."],
            notes: &[
                "quota of {namespace} legitimately full. Raise, cluster has {idle}% free.",
                "{service} starved by namespace quota, no junk found.",
            ],
            chain: &[
                "traffic grows by {more} %",
                "the autoscaler asks for more pods of {service}",
                "the quota refuses them",
                "the existing pods carry the load alone",
            ],
            factors: &["Quotas are reviewed once a year"],
            remedies: &[Remedy {
                workflow: "raise-quota",
                odds: 92,
                rationale: &["Raising {resource} by a quarter covers the growth and stays within the cluster's \
                    reserve."],
                helped: &[
                    "{service} reached {replicas} replicas two minutes later, load per pod is normal.",
                    "Quota raised, refusals ended.",
                ],
                not_helped: &["The pods were admitted and stay Pending: the zone their volumes are in has no room, \
                    whatever the quota says."],
                side_effect: "Another deployment of the namespace scaled out as well and took most of what was added.",
            }],
            alternatives: &[("clear-finished-pods", "there are none"), ("scale-out", "that is what is being refused")],
        },
        Cause {
            name: "runaway-scale",
            place: Place::Quota,
            runtimes: &[],
            signals: &[],
            summary: &[
                "A preview environment in {namespace} was left running with {junk} pods; it holds the {resource} \
                    that {service} needs.",
                "Forgotten load-test pods ({junk}) occupy the quota of {namespace}.",
            ],
            openings: &[
                "The quota of {namespace} is full of something that is not {service}: {junk} pods of a load test \
                    from {days} days ago.",
                "Who uses all the {resource} of {namespace}? A job that nobody remembers.",
            ],
            evidence: &[
                "{junk} pods with label purpose=loadtest, started {days} days ago, sending no traffic",
                "they request half of the namespace's {resource}",
                "their owner has a job that is recreated by a cron schedule",
                "{service} was refused {tries} times since {earlier}",
            ],
            logs: &["$ kubectl get pods -l purpose=loadtest | wc -l\n{junk}"],
            reasoning: &["The load test ended and its pods did not. Suspending the schedule that makes them returns \
                the room to those who serve customers."],
            notes: &[
                "loadtest leftovers, {junk} pods, eat the quota. Suspend job.",
                "{namespace}: forgotten test run blocks {service}.",
            ],
            chain: &[
                "a load test is started by a schedule",
                "the schedule is never switched off",
                "its pods fill the quota and {service} is refused",
            ],
            factors: &["Load tests run in the namespace of the real thing"],
            remedies: &[Remedy {
                workflow: "suspend-jobs",
                odds: 90,
                rationale: &["Suspending the schedule ends the idle pods and can be undone with one word."],
                helped: &["The test pods are gone, {resource} is at {real} %, {service} is complete."],
                not_helped: &["Another controller resumed the schedule within a minute; its owner has to switch it \
                    off at the source."],
                side_effect: "A colleague's test that was really in progress was ended too.",
            }],
            alternatives: &[
                ("raise-quota", "rewards a mistake"),
                ("clear-finished-pods", "these pods are running, not finished"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    figures(vec![
        ("resource", draw.pick(&["pods", "requests.cpu", "requests.memory", "limits.memory"]).to_string()),
        ("tries", draw.range(9, 48).to_string()),
        ("idle", draw.range(18, 44).to_string()),
        ("junk", draw.range(38, 310).to_string()),
        ("days", draw.range(4, 40).to_string()),
        ("real", draw.range(48, 79).to_string()),
        ("more", draw.range(22, 70).to_string()),
    ])
}
