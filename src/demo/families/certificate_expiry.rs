//! Incidents of certificates that ran out, or that clients no longer accept.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "certificate-expiry",
    weight: 2,
    severities: &["critical", "high", "warning"],
    signals: &[
        Signal {
            name: "CertificateNotRenewed",
            source: "prometheus",
            summary: "{service}-tls has reached its end date",
            description: "The certificate of {host} was not renewed in time: {attempts} attempts have failed, and \
                its end date is reached.",
        },
        Signal {
            name: "TLSHandshakeErrors",
            source: "prometheus",
            summary: "Handshakes with {host} fail",
            description: "{share} % of TLS handshakes with {host} end with an alert. Callers report x509 errors.",
        },
        Signal {
            name: "ProbeFailed",
            source: "blackbox",
            summary: "https probe of {host} fails",
            description: "The probe of https://{host}/ready fails with x509 errors since {earlier}.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "The clocks of nodes and clients are within 40 ms of each other, so it is not a matter of time drift.",
        "Cipher suites and protocol versions agree on both sides.",
        "Plain connections to the port succeed at once: network policy and load balancer let traffic through.",
        "The private key matches the certificate that is served.",
    ],
    passed: &[
        "The issuer worked through its backlog and the order was fulfilled at {clock}; the new certificate is valid \
            for 90 days and is being served.",
        "The host that expired, {host}, was taken out of service last week. Only the probe still asks for it.",
    ],
    unclear: &[
        "Some clients accept the chain and some do not, and the certificate that is served is valid. Which trust \
            store the failing clients use is not visible from the cluster.",
        "Renewal is refused by the issuer without a reason. Its account page is outside the reach of the tools.",
    ],
    refusals: &[
        (
            "renew-certificate",
            "The certificate of {host} is pinned in the mobile app. Renewing with a new key would \
            lock out old versions, I need to talk to that team first.",
        ),
        ("renew-certificate", "Do not touch the issuer now, the security team rotates its account key this afternoon."),
    ],
    causes: &[
        Cause {
            name: "challenge-fails",
            place: Place::Certificate,
            runtimes: &[],
            signals: &[],
            summary: &[
                "The certificate of {host} could not be renewed for {days} days because the DNS-01 challenge record \
                    is never created: the credentials of the DNS provider in {namespace} were revoked.",
                "Renewal of {service}-tls has failed {attempts} times. The solver may not write the challenge record \
                    since its API token was replaced.",
            ],
            openings: &[
                "{host} has lost its certificate: no renewal in {days} days has gone through, and since {earlier} it \
                    is void.",
                "Clients of {service} refuse the connection, the certificate ran out. It should have been renewed a \
                    month ago.",
                "An old-fashioned expiry. cert-manager has tried {attempts} times and given up each time at the same \
                    point.",
            ],
            evidence: &[
                "challenge in state pending: `403 Forbidden` from the provider's API when presenting the TXT record",
                "the token in secret `dns-credentials` is older than the rotation of last week",
                "Certificate {target}: Ready=False, reason DoesNotExist for the next revision, {attempts} failed \
                    orders",
                "other namespaces, which have the new token, renewed without trouble",
                "no TXT record under _acme-challenge.{host} on any of the authoritative servers",
            ],
            logs: &[
                "E cert-manager/challenges: error presenting challenge: 403 Forbidden, invalid token dnsName={host}",
                "openssl s_client -connect {host}:443: verify error:num=10:certificate has expired",
            ],
            reasoning: &[
                "The order stops before anything is proved to the issuer: the record is missing because nobody is \
                    allowed to write it. With a token that works the next attempt goes through, as it does elsewhere.",
                "Issuer, account and rate limits are fine for every other certificate of {cluster}; only this \
                    namespace has the stale token.",
            ],
            notes: &[
                "{host}: DNS token stale, challenge 403, {attempts} failed orders. Put token in place, reissue.",
                "x509 expired. Solver can't write TXT. Renew with the shared token.",
            ],
            chain: &[
                "the DNS provider's token was rotated, but not in {namespace}",
                "the solver cannot publish the challenge record",
                "{attempts} renewals fail over {days} days",
                "the certificate runs out and clients refuse the handshake",
            ],
            factors: &["Failed orders raise no alert", "The token is copied into each namespace by hand"],
            remedies: &[
                Remedy {
                    workflow: "renew-certificate",
                    odds: 88,
                    rationale: &[
                        "The workflow requests the certificate with the platform's own solver, which has the valid \
                            token, and reloads the endpoints afterwards.",
                        "A fresh order through the shared issuer avoids the broken credentials and takes about two \
                            minutes.",
                    ],
                    helped: &[
                        "{host} serves a certificate valid for 90 days. Handshake errors are at zero.",
                        "Issued on the first attempt. The probe is green and callers reconnected by themselves.",
                    ],
                    not_helped: &["The order was fulfilled, but {service} holds the old file in memory and kept \
                        serving it; handshakes fail as before until its pods restart."],
                    side_effect: "The reload of the endpoints closed {share} long-lived connections, clients had to \
                        reconnect.",
                },
                Remedy {
                    workflow: "restore-secret",
                    odds: 82,
                    rationale: &["Writing the current token into {namespace} lets the regular renewal go through, \
                        now and the next time."],
                    helped: &["With the current token in place the pending order was fulfilled within three minutes."],
                    not_helped: &["The token is right now, but the issuer's limit of failed validations for {host} \
                        has been reached; the next try is in an hour."],
                    side_effect: "An old job in {namespace} used the same secret under its former name and fails now.",
                },
            ],
            alternatives: &[
                ("restart-pods", "they would load the same certificate again"),
                ("restore-secret", "would heal the cause, but the order then waits for the next retry in 8 hours"),
                ("switch-to-fallback", "plain HTTP is not an option for {service}"),
            ],
        },
        Cause {
            name: "not-reloaded",
            place: Place::Workload,
            runtimes: &[],
            signals: &["TLSHandshakeErrors", "ProbeFailed"],
            summary: &[
                "A new certificate lies in the secret since {days} days, but {service} read it once at start and \
                    still presents the old one.",
                "Renewed in time, never loaded: the pods of {service} are {days} days up and serve what they read at \
                    start.",
            ],
            openings: &[
                "The certificate in the secret is fine and the one on the wire is not. {service} never picked up the \
                    renewal.",
                "Handshakes with {host} fail although cert-manager reports Ready. The process holds on to an old file.",
            ],
            evidence: &[
                "serial on the wire differs from the serial in {service}-tls; the latter was issued {days} days ago",
                "mounted file in {pod} is new, the process has not opened it since start",
                "{pod2}, restarted by chance yesterday, presents the new certificate",
                "no file watch and no reload signal in the start-up options of {service}",
            ],
            logs: &["$ openssl x509 -enddate (secret)  notAfter in 78 days\n$ openssl s_client \
                ({pod})        notAfter passed at {earlier}"],
            reasoning: &[
                "One pod that happened to restart is right and all others are wrong, so a restart is all that is \
                    missing.",
                "Issuing yet another certificate would end up in the same unread file.",
            ],
            notes: &[
                "secret ok, wire expired. {service} doesn't reload. Rolling restart.",
                "cert renewed {days}d ago, process never re-read it. Bounce pods.",
            ],
            chain: &[
                "the certificate is renewed in the secret",
                "{service} does not watch the file",
                "the copy in memory passes its end date",
                "clients refuse it",
            ],
            factors: &[
                "Pods of {service} live longer than a certificate since node updates became rare",
                "The expiry alert looks at the secret, not at the wire",
            ],
            remedies: &[Remedy {
                workflow: "restart-pods",
                odds: 96,
                rationale: &["A rolling restart makes every replica read the valid file; {pod2} shows that this \
                    suffices."],
                helped: &[
                    "All {replicas} replicas present the new serial. No handshake error for {observed} minutes.",
                    "After the restart the wire and the secret agree, callers are back.",
                ],
                not_helped: &["Two replicas came up with the old certificate again: their node's secret cache had \
                    not been refreshed."],
                side_effect: "The restart emptied the local caches of {service}, responses were slow for four minutes.",
            }],
            alternatives: &[
                ("renew-certificate", "the certificate has been renewed, it is only not read"),
                ("rollback-deployment", "no release is involved"),
            ],
        },
        Cause {
            name: "chain-incomplete",
            place: Place::Certificate,
            runtimes: &[],
            signals: &["TLSHandshakeErrors"],
            summary: &[
                "The issuer moved to a new intermediate; {service}-tls contains the leaf alone, and clients that do \
                    not know the intermediate cannot build a chain.",
                "{host} presents its certificate without the new intermediate. Browsers cope, {share} % of API \
                    clients do not.",
            ],
            openings: &[
                "Only some callers of {host} fail, and always the same: those with a fixed trust store.",
                "`unable to get local issuer certificate` from {share} % of clients since the renewal at {earlier}. \
                    The certificate is valid, its chain is not complete.",
            ],
            evidence: &[
                "the served chain has length 1, before the renewal it had 2",
                "the issuer announced a new intermediate for this month",
                "clients with automatic fetching of issuers succeed",
                "the pipeline that fills {service}-tls strips everything after the first PEM block",
            ],
            logs: &["verify error:num=20:unable to get local issuer certificate\nverify error:num=21:unable to \
                verify the first certificate\nCertificate chain: 0 s:CN={host}"],
            reasoning: &[
                "Who completes the chain from a cache succeeds, who relies on what is sent fails. That matches the \
                    split of clients exactly.",
                "The old intermediate was in most trust stores, the new one is not; that is why nobody noticed the \
                    stripping before.",
            ],
            notes: &[
                "leaf only on {host}. New intermediate not sent. Reissue with full chain.",
                "num=20 from SDK clients, browsers ok => chain.",
            ],
            chain: &[
                "the issuer switches to a new intermediate",
                "the secret is filled with the leaf alone",
                "clients with a fixed trust store cannot verify it",
            ],
            factors: &["The probe trusts a bundle that contains the intermediate already"],
            remedies: &[Remedy {
                workflow: "renew-certificate",
                odds: 91,
                rationale: &["The catalogue's workflow stores the full chain; requesting through it puts leaf and \
                    intermediate in place."],
                helped: &["Chain length is 2 again, SDK clients connect. Failed handshakes went from {share} % to \
                    none."],
                not_helped: &["The full chain was stored but the gateway in front serves its own copy of the leaf; \
                    nothing changed for clients."],
                side_effect: "The new certificate lacks a legacy host name that one partner still uses.",
            }],
            alternatives: &[
                ("restart-pods", "the file itself is incomplete"),
                ("rollback-deployment", "the old certificate has been revoked"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    let host = draw.pick(&["api", "edge", "internal", "partner", "events"]);
    let zone = draw.pick(&["shop.example.net", "svc.example.net", "eu.example.net"]);
    figures(vec![
        ("host", format!("{host}-{}.{zone}", draw.suffix(3))),
        ("days", draw.range(9, 33).to_string()),
        ("attempts", draw.range(6, 38).to_string()),
        ("share", draw.range(12, 71).to_string()),
    ])
}
