//! Incidents of images that cannot be pulled.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "image-pull",
    weight: 2,
    severities: &["high", "warning", "warning"],
    signals: &[
        Signal {
            name: "KubePodImagePullBackOff",
            source: "prometheus",
            summary: "{pod} is in ImagePullBackOff",
            description: "{service} in {namespace} cannot pull {image} for {lasting} minutes; {ready} of {replicas} \
                replicas are available.",
        },
        Signal {
            name: "Failed",
            source: "kubernetes-events",
            summary: "Failed to pull image {image}",
            description: "Failed to pull image \"{image}\" on {node}, {tries} times.",
        },
        Signal {
            name: "SidecarImagePullFailed",
            source: "kubernetes-events",
            summary: "{pod} waits for the image of its sidecar",
            description: "Pods of {service} on new nodes are in ImagePullBackOff for {lasting} minutes: the image of \
                the sidecar cannot be pulled, {tries} tries.",
        },
        Signal {
            name: "KubeDeploymentRolloutStuck",
            source: "prometheus",
            summary: "Rollout of {service} {version} makes no progress",
            description: "New pods of {service} wait for their image; progress deadline exceeded after {lasting} \
                minutes.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "Disk space on {node} is ample, the layers would fit.",
        "The registry is up: pulls of other repositories succeed from the same node.",
        "Name resolution of registry.internal works from all nodes.",
    ],
    passed: &["The push of {version} was completed at {clock}; the next pull succeeded by itself and the rollout \
        went on."],
    unclear: &["Pulls fail with `unexpected EOF` at different layers each time, from some nodes only. Whether \
        registry, proxy or network cuts them off cannot be told from here."],
    refusals: &[(
        "correct-image",
        "Do not pin to another tag. {version} has to go out today, the pipeline is pushing it \
            again.",
    )],
    causes: &[
        Cause {
            name: "tag-missing",
            place: Place::Workload,
            runtimes: &[],
            signals: &["KubePodImagePullBackOff", "Failed", "KubeDeploymentRolloutStuck"],
            summary: &[
                "The tag {version} of {service} does not exist in the registry: the build failed after the manifest \
                    had been changed. New pods wait for an image that was never pushed.",
                "{service} was pointed at {version}, which was never published. ImagePullBackOff on every new pod.",
            ],
            openings: &[
                "{service} should run {version} and there is no such image. Old pods carry on, new ones cannot begin.",
                "The rollout of {service} waits at the first step: not one node can fetch what it is told to run.",
            ],
            evidence: &[
                "registry answers 404 manifest unknown for {version}",
                "the latest tag of the repository is {previous}",
                "the pipeline's build step failed at {earlier}, its deploy step ran all the same",
                "all nodes fail alike, at once and without a transfer",
                "{ready} of {replicas} pods, still on {previous}, serve",
            ],
            logs: &["Failed to pull image \"{image}\": rpc error: code = NotFound desc = manifest unknown"],
            reasoning: &["The answer is a clear no from a registry that is well, so neither network nor credentials \
                matter. The reference is wrong, or early."],
            notes: &[
                "{version} was never pushed, build failed. Point back to {previous}.",
                "manifest unknown. Deploy ran without build.",
            ],
            chain: &[
                "the build of {version} fails",
                "the deployment is updated nevertheless",
                "nodes ask for a manifest that does not exist",
                "new pods stay in ImagePullBackOff",
            ],
            factors: &["The deploy step does not depend on the build's result"],
            remedies: &[
                Remedy {
                    workflow: "rollback-deployment",
                    odds: 95,
                    rationale: &["{previous} is present on the nodes, going back ends the waiting. The release can \
                        be repeated when its image exists."],
                    helped: &["The stuck replica set is gone, all {replicas} pods run {previous}."],
                    not_helped: &["The controller of the repository set {version} again a minute later, with the \
                        same result."],
                    side_effect: "The team's dashboard shows the release as done although it was taken back.",
                },
                Remedy {
                    workflow: "correct-image",
                    odds: 86,
                    rationale: &["The digest that {previous} resolves to is known and pulled; patching the reference \
                        is the smallest change."],
                    helped: &["With the corrected reference the pods started within seconds, the image was on the \
                        nodes already."],
                    not_helped: &["The digest resolves, but to an image for another processor architecture; pods \
                        fail with exec format error."],
                    side_effect: "The deployment now names a digest, the pipeline's check for tags complains.",
                },
            ],
            alternatives: &[
                ("restart-pods", "they would ask for the same tag"),
                ("drain-node", "every node gets the same answer"),
            ],
        },
        Cause {
            name: "pull-secret",
            place: Place::Workload,
            runtimes: &[],
            signals: &["KubePodImagePullBackOff", "Failed"],
            summary: &[
                "The pull secret of {namespace} has expired; the registry refuses {service} with 401. Nodes that \
                    have the image cached go on, others cannot start a pod.",
                "Authentication against the registry fails in {namespace} since its robot account was renewed at \
                    {earlier}.",
            ],
            openings: &[
                "Pods of {service} start on some nodes and not on others. Those that have the image from before do \
                    not have to ask.",
                "{tries} refused pulls: the registry no longer knows the account that {namespace} uses.",
            ],
            evidence: &[
                "401 Unauthorized from registry.internal, in {namespace} only",
                "robot account renewed at {earlier}, the secret is {days} days old",
                "nodes with the layer in their cache start the pod",
                "the same image can be pulled with the account of another namespace",
            ],
            logs: &["failed to authorize: failed to fetch oauth token: 401 Unauthorized\nBack-off pulling image \
                \"{image}\""],
            reasoning: &["The image exists and one account gets it, so what is missing is permission. Two of them \
                differ in age by {days} days."],
            notes: &[
                "regcred of {namespace} stale, 401. Write new secret.",
                "401 on pull, works from cache. Credentials.",
            ],
            chain: &[
                "the robot account is renewed",
                "the secret in {namespace} keeps the old token",
                "nodes without a cached copy cannot pull",
                "{service} is short of replicas",
            ],
            factors: &["The secret is not managed by the vault operator"],
            remedies: &[Remedy {
                workflow: "restore-secret",
                odds: 93,
                rationale: &["Vault has the new token; writing it into the pull secret lets the waiting pods proceed \
                    by themselves."],
                helped: &[
                    "All waiting pods pulled at their next try. {replicas} of {replicas} ready.",
                    "The registry accepts {namespace} again.",
                ],
                not_helped: &["The secret is right, yet the service account refers to another one by name, which is \
                    as stale as before."],
                side_effect: "The restart that comes with it also moved two healthy pods to other nodes.",
            }],
            alternatives: &[
                ("correct-image", "the reference is right"),
                ("rollback-deployment", "{previous} would have to be pulled with the same token"),
                ("clean-node-disk", "would throw away the cached copies that still help"),
            ],
        },
        Cause {
            name: "rate-limited",
            place: Place::Workload,
            runtimes: &[],
            signals: &["SidecarImagePullFailed"],
            summary: &[
                "A base image is pulled from a public registry that limits the cluster's address: 429 for {service} \
                    since {earlier}.",
                "{cluster} has used up its anonymous pulls at the public registry; new nodes cannot fetch the \
                    sidecar of {service}.",
            ],
            openings: &[
                "After new nodes joined, pods of {service} wait for their sidecar. The public registry says: too \
                    many requests.",
                "{service} cannot start on fresh nodes. Its own image is there, the helper's is not.",
            ],
            evidence: &[
                "429 toomanyrequests from the public registry, {tries} times",
                "{nodes} nodes share one outgoing address",
                "the mirror has the same image and digest",
                "only the sidecar comes from outside",
            ],
            logs: &["toomanyrequests: You have reached your pull rate limit"],
            reasoning: &["The limit counts by address and will stay in force for hours. The mirror holds the same \
                digest and has no limit."],
            notes: &[
                "429 from public registry, use mirror.",
                "sidecar pull rate limited. Same digest in mirror, patch image.",
            ],
            chain: &[
                "the pool grows by several nodes at once",
                "each pulls the sidecar from outside",
                "the registry limits the shared address",
                "pods of {service} cannot start",
            ],
            factors: &["The sidecar's image does not go through the mirror"],
            remedies: &[Remedy {
                workflow: "correct-image",
                odds: 92,
                rationale: &["Pointing the sidecar to the mirror avoids the limit and changes not a byte of what \
                    runs."],
                helped: &[
                    "The sidecar came from the mirror within two seconds, the waiting pods are up.",
                    "No pull has left the cluster since; all replicas run.",
                ],
                not_helped: &["The admission controller rewrote the reference to the public name, and the limit hit \
                    again."],
                side_effect: "An image scanner reports the mirrored name as unknown.",
            }],
            alternatives: &[
                ("restart-pods", "each try counts against the limit"),
                ("scale-out", "more pods, more pulls"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    figures(vec![
        ("lasting", draw.range(7, 40).to_string()),
        ("tries", draw.range(9, 160).to_string()),
        ("days", draw.range(88, 370).to_string()),
    ])
}
