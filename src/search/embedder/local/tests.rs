//! The local model against another implementation of it; and what it says of files and texts that will not do. They need
//! the model that `make setup` fetches.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde::Deserialize;

use super::*;
use crate::cache;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    weights_sha256: String,
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    vector: Vec<f32>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../../tests/fixtures/minilm-vectors.json")).unwrap()
}

/// The folder of the model. Without it a test says so, past the harness that would keep it quiet, and is over.
fn fetched() -> Option<PathBuf> {
    let folder = cache::fetched(cache::MODEL);
    if folder.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED a test of the local model: it is not there, run `make setup`");
    }
    folder
}

/// The model, loaded once for all tests.
fn local() -> Option<&'static Local> {
    static LOCAL: OnceLock<Local> = OnceLock::new();
    let folder = fetched()?;
    Some(LOCAL.get_or_init(|| Local::load(&folder, 1).unwrap()))
}

async fn vectors(local: &Local, texts: &[String]) -> Vec<Vec<f32>> {
    local.embed(texts, Purpose::Documents).await.unwrap()
}

async fn vector(local: &Local, text: &str) -> Vec<f32> {
    local.embed(&[text.to_string()], Purpose::Question).await.unwrap().remove(0)
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn vectors_are_those_of_another_implementation() {
    let Some(local) = local() else { return };
    let reference = reference();
    assert_eq!(local.model().name, format!("all-MiniLM-L6-v2-{}", &reference.weights_sha256[..8]));
    let texts: Vec<String> = reference.texts.iter().map(|text| text.text.clone()).collect();

    let vectors = vectors(local, &texts).await;

    assert_eq!(vectors.len(), texts.len());
    for (text, vector) in reference.texts.iter().zip(&vectors) {
        assert_eq!(vector.len(), local.model().dimension);
        for (number, expected) in vector.iter().zip(&text.vector) {
            assert!((number - expected).abs() < 1e-4, "`{}`: {number} is not {expected}", text.text);
        }
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-6, "`{}` has not length 1", text.text);
    }
}

#[tokio::test]
async fn what_else_is_in_a_batch_and_what_it_is_for_changes_no_number() {
    let Some(local) = local() else { return };
    let reference = reference();
    let texts: Vec<String> = reference.texts.iter().cycle().take(BATCH_MAX).map(|text| text.text.clone()).collect();
    let together = vectors(local, &texts).await;
    for (text, among_others) in texts.iter().zip(together).take(8) {
        assert_eq!(vector(local, text).await, among_others, "`{text}`");
    }
}

#[tokio::test]
async fn texts_that_say_the_same_are_near_and_others_are_not() {
    let Some(local) = local() else { return };
    let question = vector(local, "the container was killed because it used too much memory").await;
    let near = vector(local, "OOMKilled: memory limit of the pod exceeded").await;
    let far = vector(local, "the TLS certificate of the ingress has expired").await;
    assert!(cosine(&question, &near) > cosine(&question, &far) + 0.2);
}

#[tokio::test]
async fn a_text_of_more_tokens_than_the_model_takes_is_embedded_to_its_end() {
    let Some(local) = local() else { return };
    // One token for each character: what the model takes at once is full before the text's end comes.
    let start = "火".repeat(local.text_chars_max() - 300);
    let one = vector(local, &(start.clone() + &" the certificate of the ingress has expired".repeat(6))).await;
    let other = vector(local, &(start + &" the pod was killed: out of memory".repeat(6))).await;

    assert!((cosine(&one, &one) - 1.0).abs() < 1e-6);
    assert!(cosine(&one, &other) < 0.99, "what stands at its end makes no difference: {}", cosine(&one, &other));
    assert!(cosine(&one, &other) > 0.5, "what stands before its end makes no difference");
}

#[tokio::test]
async fn a_text_or_a_batch_that_is_too_long_is_refused() {
    let Some(local) = local() else { return };
    let refused =
        |texts: Vec<String>| async move { local.embed(&texts, Purpose::Documents).await.unwrap_err().to_string() };
    let most = local.text_chars_max();
    assert_eq!(
        refused(vec!["ü".repeat(most + 1)]).await,
        format!("the embedder refuses the text: it has {} characters, and {most} is the most", most + 1)
    );
    assert_eq!(
        refused(vec![String::new(); BATCH_MAX + 1]).await,
        "the embedder refuses the text: 33 texts in one call, and 32 is the most"
    );
    assert!(local.embed(&[], Purpose::Documents).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_question_does_not_wait_for_documents() {
    let Some(local) = local() else { return };
    let long: Vec<String> = vec!["the node has no space left on its device ".repeat(18); BATCH_MAX];
    let documents = try_join_all((0..4).map(|_| local.embed(&long, Purpose::Documents)));
    tokio::select! {
        biased;
        _ = documents => panic!("128 long documents were quicker than a question"),
        _ = vector(local, "disk full") => {}
    }
}

/// The fetched model with one file replaced by `content`, or taken away.
struct Changed(PathBuf);

impl Changed {
    fn new(fetched: &Path, file: &str, content: Option<&[u8]>) -> Changed {
        let name = format!("binnacle-model-{}-{}", std::process::id(), uuid::Uuid::new_v4());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("1_Pooling")).unwrap();
        for known in ["config.json", "model.safetensors", "tokenizer.json", "modules.json", "1_Pooling/config.json"] {
            match content {
                Some(content) if known == file => fs::write(folder.join(known), content).unwrap(),
                None if known == file => {}
                _ => symlink(fetched.join(known), folder.join(known)).unwrap(),
            }
        }
        if let (Some(content), "sentence_bert_config.json") = (content, file) {
            fs::write(folder.join(file), content).unwrap();
        }
        Changed(folder)
    }

    /// Why it cannot be loaded, with the folder left out.
    fn refused(&self) -> String {
        let Err(error) = Local::load(&self.0, 1) else { panic!("should be refused") };
        error.to_string().replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_that_will_not_do_is_refused_with_the_file_and_the_reason() {
    let Some(fetched) = fetched() else { return };
    let refused = |file: &str, content: &str| Changed::new(&fetched, file, Some(content.as_bytes())).refused();

    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        assert_eq!(Changed::new(&fetched, file, None).refused(), format!("`{file}` is not there"));
    }
    let weights = fs::read(fetched.join("model.safetensors")).unwrap();
    for length in [0, 1_000, weights.len() / 2, weights.len() - 1] {
        let said = Changed::new(&fetched, "model.safetensors", Some(&weights[..length])).refused();
        assert!(said.starts_with("`model.safetensors` does not serve: it is no whole safetensors file: "), "{said}");
    }

    let config = fs::read_to_string(fetched.join("config.json")).unwrap();
    let with = |from: &str, to: &str| refused("config.json", &config.replace(from, to));
    assert_eq!(
        with("\"model_type\": \"bert\"", "\"model_type\": \"mpnet\""),
        "`config.json` does not serve: `model_type` is `mpnet`, and only `bert` is known"
    );
    assert_eq!(
        with("\"intermediate_size\": 1536", "\"intermediate_size\": 1024"),
        "`model.safetensors` does not serve: its tensor `encoder.layer.0.intermediate.dense.weight` has the shape \
         [1536, 384] where [1024, 384] is needed"
    );
    assert_eq!(
        with("\"vocab_size\": 30522", "\"vocab_size\": 30521"),
        "`tokenizer.json` does not serve: token 30521 is beyond the 30521 of `config.json`"
    );
    assert!(refused("config.json", "{").starts_with("`config.json` does not serve: "));
    assert!(refused("tokenizer.json", "{}").starts_with("`tokenizer.json` does not serve: "));
    assert_eq!(
        refused("1_Pooling/config.json", r#"{"pooling_mode_cls_token": true}"#),
        "`1_Pooling/config.json` does not serve: it wants another vector than the mean over the tokens"
    );
    assert_eq!(
        refused("modules.json", r#"[{"type": "sentence_transformers.models.Dense"}]"#),
        "`modules.json` does not serve: the module `sentence_transformers.models.Dense` is not known"
    );
    assert_eq!(
        refused("sentence_bert_config.json", r#"{"max_seq_length": 1}"#),
        "`sentence_bert_config.json` does not serve: texts of 1 tokens are too short to say anything"
    );
}

#[test]
fn a_weight_that_is_not_finite_is_refused() {
    let Some(fetched) = fetched() else { return };
    let mut weights = fs::read(fetched.join("model.safetensors")).unwrap();
    // A file begins with the length of its header, which tells where each tensor lies behind it.
    let header = usize::try_from(u64::from_le_bytes(weights[..8].try_into().unwrap())).unwrap();
    let tensors: serde_json::Value = serde_json::from_slice(&weights[8..8 + header]).unwrap();
    let start = tensors["embeddings.word_embeddings.weight"]["data_offsets"][0].as_u64().unwrap();
    let number = 8 + header + usize::try_from(start).unwrap() + 400;
    weights[number..number + 4].copy_from_slice(&f32::NAN.to_le_bytes());

    let said = Changed::new(&fetched, "model.safetensors", Some(&weights)).refused();

    let reason = "its tensor `embeddings.word_embeddings.weight` holds a number that is not finite";
    assert_eq!(said, format!("`model.safetensors` does not serve: {reason}"));
}

#[test]
fn other_weights_go_by_the_name_that_their_config_or_their_folder_tells() {
    let Some(fetched) = fetched() else { return };
    let mut weights = fs::read(fetched.join("model.safetensors")).unwrap();
    let last = weights.len() - 4;
    weights[last..].copy_from_slice(&0.5_f32.to_le_bytes());
    let changed = Changed::new(&fetched, "model.safetensors", Some(&weights));
    let name = |folder: &Path| Local::load(folder, 1).unwrap().model().name.clone();

    let by_config = name(&changed.0);
    assert!(by_config.starts_with("MiniLM-L6-H384-uncased-") && !by_config.ends_with("53aa5117"), "{by_config}");

    let config = fs::read_to_string(fetched.join("config.json")).unwrap().replace("_name_or_path", "other");
    fs::remove_file(changed.0.join("config.json")).unwrap();
    fs::write(changed.0.join("config.json"), config).unwrap();
    assert!(name(&changed.0).starts_with("binnacle-model-"), "{}", name(&changed.0));
}
