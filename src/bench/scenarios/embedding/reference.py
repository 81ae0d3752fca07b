"""MODEL_FOLDER SECONDS THREADS: embeds the texts of its input over and over for so long, and says how that went. All in JSON."""

import json
import sys
import time

import torch
from sentence_transformers import SentenceTransformer

BATCH = 32

folder, seconds, threads = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
texts = json.load(sys.stdin)
torch.set_num_threads(threads)
model = SentenceTransformer(folder, device="cpu", local_files_only=True)


def embed(batch):
    model.encode(batch, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)


embed(texts[:BATCH])  # what is set up with the first texts does not count
begun, n, batches, start = time.perf_counter(), 0, [], 0
while time.perf_counter() - begun < seconds:
    batch = texts[start : start + BATCH]
    asked = time.perf_counter()
    embed(batch)
    batches.append(time.perf_counter() - asked)
    n += len(batch)
    start = 0 if start + BATCH >= len(texts) else start + BATCH
print(json.dumps({"texts": n, "seconds": time.perf_counter() - begun, "batch_seconds": batches}))
