-- To compare some remediations exactly, the vectors of their texts are looked up one by one, some two thousand of them for a
-- question. By a hash of the text alone that takes little more than half as long as by model and text; of models there are one or two.
CREATE INDEX search_embeddings_by_content ON search_embeddings USING hash (content);
