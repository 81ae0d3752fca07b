//! The allow-list: the documents that may run, read from a manifest as the tools of clients write it.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::guard::{self, Bounds};
use crate::{
    audit::canonical::{digest, hex},
    error::ClientError,
};

#[derive(Debug, thiserror::Error)]
pub enum AllowListError {
    #[error("cannot read the allow-list `{}`", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the allow-list `{}` is not a JSON object of ids with the texts of documents", .path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("the allow-list `{}` has a document that cannot run: `{id}`: {why}", .path.display())]
    Document { path: PathBuf, id: String, why: String },
    #[error("the allow-list `{}` is empty, and then nothing could run", .path.display())]
    Empty { path: PathBuf },
}

/// The documents that may run.
#[derive(Debug)]
pub struct AllowList {
    by_id: HashMap<String, Arc<str>>,
    by_hash: HashMap<String, Arc<str>>,
}

impl AllowList {
    /// Reads the file at `path`: one JSON object, each member an id with the text of a document.
    pub fn read(path: &Path, bounds: Bounds) -> Result<AllowList, AllowListError> {
        let owned = || path.to_path_buf();
        let text = fs::read_to_string(path).map_err(|source| AllowListError::Read { path: owned(), source })?;
        let documents: BTreeMap<String, Arc<str>> =
            serde_json::from_str(&text).map_err(|source| AllowListError::Json { path: owned(), source })?;
        if documents.is_empty() {
            return Err(AllowListError::Empty { path: owned() });
        }
        for (id, document) in &documents {
            if let Err(refused) = guard::check(document, bounds) {
                return Err(AllowListError::Document { path: owned(), id: id.clone(), why: refused.message });
            }
        }
        let by_hash = documents.values().map(|text| (hash(text), text.clone())).collect();
        Ok(AllowList { by_id: documents.into_iter().collect(), by_hash })
    }

    /// The document of an id: as the file has it, or its SHA-256, with or without `sha256:` before it.
    pub fn document(&self, id: &str) -> Result<&str, ClientError> {
        let plain = id.strip_prefix("sha256:").unwrap_or(id);
        let found = self.by_id.get(id).or_else(|| self.by_id.get(plain)).or_else(|| self.by_hash.get(plain));
        found.map(|text| &**text).ok_or_else(|| {
            ClientError::forbidden(format!("only listed documents run here, and none has the id `{}`", shown(id)))
        })
    }

    /// Refuses a text that is not in the list.
    pub fn admit(&self, text: &str) -> Result<(), ClientError> {
        let hash = hash(text);
        if self.by_hash.contains_key(&hash) {
            return Ok(());
        }
        let message = format!("only listed documents run here, and this one is not listed; its SHA-256 is {hash}");
        Err(ClientError::forbidden(message))
    }
}

/// The SHA-256 of a document's text, in hexadecimal digits.
pub fn hash(text: &str) -> String {
    hex(&digest(text))
}

/// An id is a client's own words, so only its start is shown.
fn shown(id: &str) -> String {
    id.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    const BOUNDS: Bounds = Bounds { depth_max: 20, introspection: true };

    /// The list of a file with this text.
    fn list(text: &str) -> Result<AllowList, AllowListError> {
        let path = std::env::temp_dir().join(format!("binnacle-allow-list-{}", uuid::Uuid::new_v4()));
        fs::write(&path, text).unwrap();
        let list = AllowList::read(&path, BOUNDS);
        fs::remove_file(&path).unwrap();
        list
    }

    #[test]
    fn a_listed_document_is_found_by_id_by_hash_and_by_its_text() {
        let text = "{ system { watermark } }";
        let list = list(&serde_json::json!({"system": text}).to_string()).unwrap();
        let hash = hash(text);
        for id in ["system", &hash, &format!("sha256:{hash}")] {
            assert_eq!(list.document(id).unwrap(), text);
        }
        list.admit(text).unwrap();
        let refused = list.admit("{ system { watermark }}").unwrap_err();
        assert_eq!(refused.code(), Code::Forbidden);
        assert!(refused.message.contains(&super::hash("{ system { watermark }}")), "{}", refused.message);
        assert_eq!(
            list.document("other").unwrap_err().message,
            "only listed documents run here, and none has the id `other`"
        );
    }

    #[test]
    fn a_file_with_a_mistake_is_refused_and_the_document_named() {
        let told = |text| list(text).unwrap_err().to_string().replace(|c: char| c.is_ascii_hexdigit() || c == '-', "");
        assert!(matches!(list("[]"), Err(AllowListError::Json { .. })));
        assert!(matches!(list("{}"), Err(AllowListError::Empty { .. })));
        assert!(matches!(list(r#"{"a": 1}"#), Err(AllowListError::Json { .. })));
        assert!(told(r#"{"xyz": "{"}"#).contains("`xyz`"));
        assert!(matches!(list(r#"{"bad": "{ a"}"#), Err(AllowListError::Document { id, .. }) if id == "bad"));
        assert!(matches!(AllowList::read(Path::new("/nowhere"), BOUNDS), Err(AllowListError::Read { .. })));
    }
}
