//! Incidents of volumes that fill up.

use super::{Cause, Draw, Family, Figures, Place, Remedy, Signal, figures};

pub static FAMILY: Family = Family {
    name: "disk-full",
    weight: 3,
    severities: &["critical", "high", "warning"],
    signals: &[
        Signal {
            name: "KubePersistentVolumeFillingUp",
            source: "prometheus",
            summary: "Volume of {database} is {full} % full",
            description: "PersistentVolumeClaim data-{database}-0 in {namespace} has {left} GiB left of {size} GiB \
                and will be full before long.",
        },
        Signal {
            name: "DatabaseReadOnly",
            source: "prometheus",
            summary: "{database} refuses writes",
            description: "{database} answers writes with `could not extend file: No space left on device` since \
                {earlier}. {service} is affected: {impact}.",
        },
        Signal {
            name: "VolumeUsageCritical",
            source: "prometheus",
            summary: "data-{database}-0: {full} % used",
            description: "Usage of data-{database}-0 rose by {growth} GiB in the last hour.",
        },
    ],
    figures: figures_of,
    ruled_out: &[
        "Inodes are at 4 %, it is bytes that run out.",
        "The storage system itself has capacity and reports no fault.",
        "No deleted file is held open; du and df agree.",
        "Replicas show the same usage, so it is not a fault of this one volume.",
    ],
    passed: &[
        "A vacuum that was in progress gave {growth} GiB back and usage is at {settled} %. At the present rate the \
            volume lasts for months.",
        "The temporary files of a large sort were removed when its query ended. Usage is normal again.",
    ],
    unclear: &[
        "df says {full} %, the files that can be seen add up to {settled} %. Something hidden below the mount point \
            or inside the storage layer takes the rest.",
        "Usage jumps by {growth} GiB every hour and falls back. What is written and removed in between left no trace.",
    ],
    refusals: &[
        (
            "purge-old-files",
            "Nothing gets deleted from {database} without a backup that somebody has restored. \
            Expand instead.",
        ),
        (
            "expand-volume",
            "This claim sits on the old storage class, expanding it means a restart of the primary. \
            Tonight, not now.",
        ),
    ],
    causes: &[
        Cause {
            name: "abandoned-slot",
            place: Place::Volume,
            runtimes: &[],
            signals: &["DatabaseReadOnly"],
            summary: &[
                "A replication slot of {database} that no consumer reads any more keeps {retained} GiB of \
                    write-ahead log; nothing is left of its {size} GiB.",
                "{database} may not recycle its log: an abandoned slot pins it since {days} days, and the disk fills \
                    with segments.",
            ],
            openings: &[
                "The disk of {database} fills with write-ahead log. Tables are small, `pg_wal` is {retained} GiB.",
                "Free space of {database} fell by {growth} GiB an hour until there was none. The log grows and is \
                    never recycled.",
                "{service} gets errors on every write: its database has no space to extend a file.",
            ],
            evidence: &[
                "slot `export_old` inactive for {days} days, restart_lsn {retained} GiB behind",
                "pg_wal holds {retained} of {size} GiB",
                "the consumer of that slot was removed with a release {days} days ago",
                "checkpoints run on time, archiving has no failures",
                "max_slot_wal_keep_size is unlimited",
            ],
            logs: &[
                "PANIC: could not write to file \"pg_wal/xlogtemp.81\": No space left on device",
                "slot_name | active | retained\nexport_old | f | {retained} GB",
            ],
            reasoning: &[
                "Archiving and checkpoints are fine, so only a reader could hold segments back, and exactly one \
                    reader has not moved for {days} days.",
                "A bigger volume would be filled by the same slot in due time; the slot must go.",
            ],
            notes: &[
                "WAL retained by dead slot export_old, {retained}G. Drop slot, not data.",
                "{database} disk full: abandoned replication slot.",
            ],
            chain: &[
                "the consumer of a replication slot is removed",
                "its slot stays and pins the log",
                "segments pile up to {retained} GiB",
                "{database} cannot extend its files and refuses writes",
            ],
            factors: &["No limit on what slots may retain", "No alert on inactive slots"],
            remedies: &[
                Remedy {
                    workflow: "purge-old-files",
                    odds: 88,
                    rationale: &[
                        "After dropping the orphaned slot the old segments can be removed; a snapshot is taken before.",
                        "{retained} GiB are held for a reader that no longer exists. Releasing them is safe and quick.",
                    ],
                    helped: &[
                        "{retained} GiB were released at the next checkpoint, usage is at {settled} %. {database} \
                            takes writes.",
                        "The slot is gone and log size has been level for {observed} minutes.",
                    ],
                    not_helped: &["Dropping the slot freed the segments, but a second one, of a lagging standby, \
                        pins nearly as much."],
                    side_effect: "A nightly export that had been broken for days now says so loudly: its slot does \
                        not exist.",
                },
                Remedy {
                    workflow: "expand-volume",
                    odds: 72,
                    rationale: &["Expanding by half lets {database} write again within minutes, whoever the slot \
                        belongs to."],
                    helped: &["The file system was grown on line; {database} takes writes, and there is time to find \
                        the slot's owner."],
                    not_helped: &["The volume was expanded and the log goes on growing; at this rate it is full \
                        again in {hours} hours."],
                    side_effect: "The larger volume exceeds what the standby has, replication will stop when the \
                        primary passes that mark.",
                },
            ],
            alternatives: &[
                ("expand-volume", "buys days, the slot goes on holding"),
                ("restart-pods", "slots survive a restart, and recovery would need space too"),
                (
                    "purge-old-files",
                    "deleting by hand in pg_wal destroys the database unless the slot is dropped first",
                ),
            ],
        },
        Cause {
            name: "logs-on-volume",
            place: Place::Volume,
            runtimes: &[],
            signals: &["KubePersistentVolumeFillingUp", "VolumeUsageCritical"],
            summary: &[
                "Debug logging was left on in {database}: {growth} GiB of log files an hour land on the data volume \
                    and nothing rotates them.",
                "The data volume of {database} is filled by its own log files, since log_statement was set to all at \
                    {earlier}.",
            ],
            openings: &[
                "Usage of data-{database}-0 climbs by {growth} GiB an hour. It is text: every statement is written \
                    to a log on the same volume.",
                "{database} is running out of disk for the most trivial of reasons, its own log.",
            ],
            evidence: &[
                "directory `log/` is {retained} GiB, two days ago it was 300 MiB",
                "log_statement=all since {earlier}, set by hand during an investigation",
                "rotation is by age only, files older than a week go",
                "table and index sizes are unchanged",
            ],
            logs: &["LOG:  statement: SELECT 1\nLOG:  statement: SELECT 1\n(… 41 million lines)"],
            reasoning: &["Growth is linear with the number of statements and stops at nothing. Deleting old files \
                helps now, the setting must be put back for good."],
            notes: &[
                "statement logging left on, {retained}G logs on data volume. Purge + reset.",
                "disk: it's the log dir of {database}.",
            ],
            chain: &[
                "statement logging is switched on and forgotten",
                "logs of {growth} GiB an hour go to the data volume",
                "the volume reaches {full} %",
            ],
            factors: &["Logs and data share a volume", "Settings made by hand are not tracked"],
            remedies: &[Remedy {
                workflow: "purge-old-files",
                odds: 90,
                rationale: &["Rotated log files can be deleted without touching data; {retained} GiB come free."],
                helped: &[
                    "Usage fell to {settled} % and stays, logging is back to errors only.",
                    "Log files removed, setting restored. Growth is back to a few MiB an hour.",
                ],
                not_helped: &["The files were deleted but the server kept the current one open; the space came back \
                    only when it was restarted by hand."],
                side_effect: "Log lines that an audit might have wanted are gone, the snapshot will be kept for 30 \
                    days.",
            }],
            alternatives: &[
                ("expand-volume", "{growth} GiB an hour would fill that too"),
                ("restart-pods", "the setting is stored and would come back"),
            ],
        },
        Cause {
            name: "growth",
            place: Place::Volume,
            runtimes: &[],
            signals: &["KubePersistentVolumeFillingUp"],
            summary: &[
                "{database} has grown into its volume: {size} GiB were planned for two years and are used up after \
                    one. Nothing is wrong but the size.",
                "Ordinary growth has filled {full} % of the volume of {database}; {left} GiB remain.",
            ],
            openings: &[
                "No leak, no log, no orphan: {database} holds {full} % of {size} GiB because there is that much data.",
                "The volume of {database} fills in a straight line, {rate} GiB a week for a year, and the line has \
                    arrived.",
            ],
            evidence: &[
                "growth of {rate} GiB a week without a jump",
                "the five largest tables are in use and free of bloat",
                "old partitions are dropped on schedule",
                "the storage class allows expansion",
            ],
            logs: &["Filesystem      Size  Used Avail Use%\n/dev/nvme1n1    {size}G        {left}G  {full}%"],
            reasoning: &["There is nothing to clean. Steady growth at a known rate asks for a larger volume and an \
                earlier alert."],
            notes: &["{database}: legit growth, {left}G left. Expand PVC.", "no junk found, just full. +50 %."],
            chain: &["data grows by {rate} GiB a week", "nobody enlarges the volume", "{left} GiB are left"],
            factors: &["The alert fires at {full} % and not by time left"],
            remedies: &[Remedy {
                workflow: "expand-volume",
                odds: 94,
                rationale: &["Half as much again lasts for about a year, and this storage class grows without a \
                    restart."],
                helped: &[
                    "The volume has been expanded on line, usage is at {settled} %.",
                    "File system resized within two minutes, no interruption was seen by {service}.",
                ],
                not_helped: &["The claim shows the new size, the file system does not: the resize on the node waits \
                    for a restart of the pod."],
                side_effect: "Throughput of the volume was halved for twenty minutes while the storage system \
                    optimised it.",
            }],
            alternatives: &[
                ("purge-old-files", "no file is superfluous"),
                ("clean-node-disk", "the node's disk is another one"),
            ],
        },
    ],
};

fn figures_of(draw: &mut Draw) -> Figures {
    let size = draw.pick(&[100, 200, 250, 400, 500, 800]);
    let full = draw.range(91, 99);
    figures(vec![
        ("size", size.to_string()),
        ("full", full.to_string()),
        ("left", (size * (100 - full) / 100).max(1).to_string()),
        ("retained", (size * draw.range(35, 60) / 100).to_string()),
        ("growth", draw.range(2, 9).to_string()),
        ("rate", (size / 80 + draw.range(0, 2)).max(1).to_string()),
        ("hours", draw.range(1, 11).to_string()),
        ("days", draw.range(5, 34).to_string()),
        ("settled", draw.range(41, 66).to_string()),
    ])
}
