// Before any test: some run the compiled package in processes of its own, and it must be that of the sources as they are.
import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

function* sources(folder) {
  for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const name = path.join(folder, entry.name)
    if (entry.isDirectory()) yield* sources(name)
    else if (name.endsWith('.ts') && !name.endsWith('.d.ts')) yield name
  }
}

const changed = (file) => statSync(path.join(root, file), { throwIfNoEntry: false })?.mtimeMs ?? 0
const stale = [...sources('lib'), ...sources('bench'), ...sources('examples')].find(
  (file) => changed(file) > changed(path.join('dist', file.replace(/ts$/, 'js')))
)
if (stale !== undefined) {
  console.error(`dist/ is older than ${stale}: npm run build:ts`)
  process.exitCode = spawnSync('npm', ['run', '--silent', 'build:ts'], { cwd: root, stdio: ['ignore', 2, 2] }).status ?? 1
}
