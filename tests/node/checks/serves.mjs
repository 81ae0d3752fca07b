export const title = "the server answers";

/** The least that everything else rests on. */
export async function check({ url }) {
  const response = await fetch(`${url}/graphql?query=${encodeURIComponent("{ __typename }")}`);
  const { data } = await response.json();
  if (data?.__typename !== "Query") throw new Error(`asked for __typename, got ${JSON.stringify(data)}`);
  return "yes";
}
