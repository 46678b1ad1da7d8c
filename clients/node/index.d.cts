export interface EnvOptions {
  /** Whether what is found counts for whether a later run is the same; true unless said otherwise. */
  tracked?: boolean
}

/** The five calls: all synchronous, none throws. Outside a run they do nothing and know nothing. */
export interface Client {
  /** What is read at or under `path` does not count. */
  ignoreInput(path: string): void
  /** What is written at or under `path` is neither stored nor restored. */
  ignoreOutput(path: string): void
  /** This run is not to be stored. */
  disableCache(): void
  /** The value of a variable in the runner's environment; `undefined` if it is not set. */
  getEnv(name: string, options?: EnvOptions): string | undefined
  /** The variables of the runner's environment that match a glob or begin with a prefix. */
  getEnvs(query: string | { prefix: string }, options?: EnvOptions): Record<string, string>
}

export function load(options?: object): Client
export const ignoreInput: Client['ignoreInput']
export const ignoreOutput: Client['ignoreOutput']
export const disableCache: Client['disableCache']
export const getEnv: Client['getEnv']
export const getEnvs: Client['getEnvs']
