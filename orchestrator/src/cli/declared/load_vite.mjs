// Prints the `run` of the nearest vite.config.*, as the package's own Vite understands it.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const folder = process.cwd();
const require = createRequire(`${folder}/package.json`);
const resolved = (name) => {
    try {
        return require.resolve(name);
    } catch {
        return undefined;
    }
};
const vite = resolved('vite') ?? resolved('vite-plus');
if (!vite) throw new Error('neither vite nor vite-plus is installed here');
const { loadConfigFromFile } = await import(pathToFileURL(vite).href);
const loaded = await loadConfigFromFile({ command: 'build', mode: 'production' }, undefined, folder, 'silent');
process.stdout.write(JSON.stringify(loaded?.config.run ?? null));
