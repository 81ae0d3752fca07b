// Bundles the page `/graphiql` into `dist`, which the binary embeds (see src/http/pages/console.rs).

import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

/** The server that the development server hands requests on to. */
const BINNACLE = process.env.BINNACLE ?? "http://127.0.0.1:8080";

/** Smaller files gain nothing from being compressed. */
const COMPRESS_BYTES_MIN = 1024;

/** Puts a compressed copy beside each file, so that the server need not compress megabytes for each visitor. */
const compressed = {
  name: "compressed",
  apply: "build",
  generateBundle: {
    order: "post",
    handler(_options, bundle) {
      for (const [name, file] of Object.entries(bundle)) {
        const source = file.code ?? file.source;
        if (source.length < COMPRESS_BYTES_MIN || name === "index.html") continue;
        this.emitFile({ type: "asset", fileName: `${name}.gz`, source: gzipSync(source, { level: 9 }) });
      }
    },
  },
};

export default defineConfig({
  base: "/graphiql/",
  plugins: [compressed],
  // Of two copies, one does not know the other's types.
  resolve: { dedupe: ["graphql", "react", "react-dom"] },
  worker: { format: "es" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the page's policy lets nothing in that is written into an address
    chunkSizeWarningLimit: 4096, // KiB: it is an editor, loaded once
    license: { fileName: "licenses.md" },
    rolldownOptions: {
      // React's marks for servers, which mean nothing here.
      onwarn: (warning, warn) => warning.code === "MODULE_LEVEL_DIRECTIVE" || warn(warning),
    },
  },
  server: {
    proxy: {
      // Binnacle answers its own pages only, and this one is to be taken for one of them.
      "/graphql": { target: BINNACLE, ws: true, changeOrigin: true, headers: { origin: BINNACLE } },
      "/graphiql/examples.json": BINNACLE,
      "/graphiql/plain": BINNACLE,
    },
  },
});
