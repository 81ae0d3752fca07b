//! Worked examples. The landing page, the editors and the demo all show these.

use serde::Serialize;

/// A query, or a subscription, to paste.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    pub title: &'static str,
    /// In lines that fit an editor beside its answer. The name of the operation is the name of the tab that shows it.
    pub query: &'static str,
    /// Whether it asks about one remediation, which its variables `id` and `cluster` name.
    pub of_one: bool,
}

/// From the everyday to the rare.
pub const EXAMPLES: [Example; 5] = [
    Example {
        title: "The latest remediations, with what took longest",
        of_one: false,
        query: "query LatestRemediations {
  remediations(first: 10) {
    edges {
      node {
        remediationId clusterId
        phase outcome startedAt durationMs
        bottleneck { name durationMs share }
      }
    }
  }
}",
    },
    Example {
        title: "One remediation as a timeline, with its decisions",
        of_one: true,
        query: "query Timeline($id: String!, $cluster: String) {
  remediation(remediationId: $id, clusterId: $cluster) {
    phase outcome durationMs
    phases { name durationMs share }
    timeline(first: 50) {
      edges {
        node {
          at offsetMs service title detail
          decision { question chosen rationale }
        }
      }
    }
    completeness { score missing { service what } }
  }
}",
    },
    Example {
        title: "Seen before? What worked last time?",
        of_one: false,
        query: "query WhatWorked {
  search(
    query: \"pods keep dying after the release ate all memory\"
    first: 5
  ) {
    hits {
      score snippet
      remediation {
        remediationId clusterId outcome effective actionTypes
      }
    }
    totals {
      ended successRate
      byAction {
        actionType count
        successRate successRateLow medianDurationMs
      }
    }
  }
}",
    },
    Example {
        title: "The report of one remediation",
        of_one: true,
        query: "query Report($id: String!, $cluster: String) {
  report(remediationId: $id, clusterId: $cluster) {
    summary {
      headline
      businessImpact { priority sla slaBreached }
    }
    recommendations { priority text expectedImpact cites }
    provenance { watermark complete }
    markdown
  }
}",
    },
    Example {
        title: "Live events: what is recorded from now on",
        of_one: false,
        query: "subscription LiveEvents {
  events {
    recordedAt kind eventType outcome
    remediationId clusterId
    payload
    watermark
  }
}",
    },
];
