# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_tracerun_global_optspecs
    string join \n cache-dir= cache-size= root= q/quiet v/verbose ignore-input= ignore-output= input= output= env= untracked-env= stdin= cache-failures allow-network trust-preload trust= toolchain= strict-listings grace= kill-background io-uring= capture= force no-store mtime= remote= no-remote dry-run format= summary= h/help V/version
end

function __fish_tracerun_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_tracerun_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_tracerun_using_subcommand
    set -l cmd (__fish_tracerun_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c tracerun -n "__fish_tracerun_needs_command" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_needs_command" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_needs_command" -l ignore-input -d 'What is read at or under GLOB does not count (`!GLOB` takes back)' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l ignore-output -d 'What is written at or under GLOB is neither stored nor restored (`!GLOB` takes back)' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l input -d 'What counts as input instead of what is observed: files at or under GLOB, read or not. `auto` stands for what is observed, `!GLOB` takes away, an empty one alone is none' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l output -d 'What is stored and restored instead of all that is left under the root: what is written at or under GLOB, wherever that is. `auto`, `!GLOB` and an empty one as with --input' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l env -d 'The command sees only this variable, others named so, and untracked ones' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l untracked-env -d 'This variable does not count' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l stdin -d 'What becomes of a standard input that is a pipe or socket' -r -f -a "pass\t'The command reads it, and a run that does is not stored'
hash\t'All of it is read before, and the run is stored for what it held'"
complete -c tracerun -n "__fish_tracerun_needs_command" -l trust -d 'What is at or under DIR is known by size, modification time and inode, not by content' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l toolchain -d 'What systems install their packages to (or `paths` of [toolchain.NAME] in tracerun.toml) is known by what COMMAND prints, run by a shell in the root, and not by content: `--toolchain cc=\'cc --version\'`' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l grace -d 'Milliseconds to wait for processes that outlive the command [default: 500]' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l io-uring -d 'What programs that ask for io_uring, which opens files unseen, are told [default: refuse]' -r -f -a "refuse\t'That it is not permitted, as under Docker: they do without'
allow\t'Nothing: they get it, and a run in which one does is not stored'"
complete -c tracerun -n "__fish_tracerun_needs_command" -l capture -d 'How to watch the process tree [default: auto]' -r -f -a "auto\t'The best that works here'
seccomp\t'The seccomp filter, with the preload library as its fast path'
seccomp-only\t'The seccomp filter alone'
ptrace\t'Every system call stopped by ptrace: complete, and slow'
preload\t'The preload library alone: never complete'"
complete -c tracerun -n "__fish_tracerun_needs_command" -l mtime -d 'The modification time of restored files: that of now, as if the command had run, or that which was recorded [default: now]' -r -f -a "now\t'That of the restoration'
recorded\t'That which the run left'"
complete -c tracerun -n "__fish_tracerun_needs_command" -l remote -d 'The cache that is shared with other machines: http://, https://, grpc:// or grpcs://' -r
complete -c tracerun -n "__fish_tracerun_needs_command" -l format -d 'With --dry-run: the form of the answer' -r -f -a "text\t'For people'
json\t'One JSON object'"
complete -c tracerun -n "__fish_tracerun_needs_command" -l summary -d 'Write what came of the run to FILE, as one JSON object' -r -F
complete -c tracerun -n "__fish_tracerun_needs_command" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_needs_command" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_needs_command" -l cache-failures -d 'Store runs that fail, too'
complete -c tracerun -n "__fish_tracerun_needs_command" -l allow-network -d 'Store runs that used the network, too'
complete -c tracerun -n "__fish_tracerun_needs_command" -l trust-preload -d 'Store runs that only the preload library watched, too: it cannot see everything'
complete -c tracerun -n "__fish_tracerun_needs_command" -l strict-listings -d 'Every name counts in a listing of a folder above the root or of the folder for temporary files, not only those that the command looked for somewhere'
complete -c tracerun -n "__fish_tracerun_needs_command" -l kill-background -d 'Kill processes that outlive the command and the time of grace, instead of leaving them alone'
complete -c tracerun -n "__fish_tracerun_needs_command" -l force -d 'Run even if there is a hit, and store the result'
complete -c tracerun -n "__fish_tracerun_needs_command" -l no-store -d 'Do not store the result'
complete -c tracerun -n "__fish_tracerun_needs_command" -l no-remote -d 'Ask no other machine, and tell none, whatever tracerun.toml or TRACERUN_REMOTE say'
complete -c tracerun -n "__fish_tracerun_needs_command" -l dry-run -d 'Run nothing: say whether it would be a hit, and why not'
complete -c tracerun -n "__fish_tracerun_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracerun -n "__fish_tracerun_needs_command" -s V -l version -d 'Print version'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "trace" -d 'Always run, never cache; report what was touched'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "explain" -d 'Why the last run, or RUN, hit, missed or was not cached'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "diff" -d 'What run B used, made and did otherwise than run A'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "show" -d 'What a run touched, and what came of it'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "list" -d 'The runs of this project that are remembered, newest first'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "who" -d 'Which runs and processes read, wrote or looked for PATH'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "check" -d 'Whether CMD reads and writes only what is declared: exits with 1 if it does not'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "watch" -d 'Run again whenever something changes that the last run observed'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "cache" -d 'The cache folder'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "doctor" -d 'What can be captured on this machine, and how'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "completions" -d 'A completion script for SHELL, on standard output'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "man" -d 'A manual page, on standard output'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "help" -d 'What a command does, or a page on a topic'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "ignore-input" -d 'From inside a run: reads, stats and listings at or under PATH do not count'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "ignore-output" -d 'From inside a run: writes at or under PATH are neither stored nor restored'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "track-env" -d 'From inside a run: the value of variable NAME counts'
complete -c tracerun -n "__fish_tracerun_needs_command" -a "disable-cache" -d 'From inside a run: it is not to be stored'
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l grace -d 'Milliseconds to wait for processes that outlive the command [default: 500]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l io-uring -d 'What programs that ask for io_uring, which opens files unseen, are told [default: refuse]' -r -f -a "refuse\t'That it is not permitted, as under Docker: they do without'
allow\t'Nothing: they get it, and a run in which one does is not stored'"
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l capture -d 'How to watch the process tree [default: auto]' -r -f -a "auto\t'The best that works here'
seccomp\t'The seccomp filter, with the preload library as its fast path'
seccomp-only\t'The seccomp filter alone'
ptrace\t'Every system call stopped by ptrace: complete, and slow'
preload\t'The preload library alone: never complete'"
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l format -d 'The form of the report' -r -f -a "text\t'For people'
json\t'One JSON object'
ndjson\t'One JSON object a line'
html\t'A page to look into with a browser, in one file'
perfetto\t'The processes on a line of time: the trace events of Chrome, for Perfetto'
dot\t'The processes and their files as a graph, for Graphviz'
depfile\t'The files read as a rule of make, for make and Ninja'
compile-commands\t'The calls of compilers, for clangd'
cyclonedx\t'The files read with their digests: a bill of materials'"
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -s o -l output -d 'Write the report to FILE' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l by -d 'Not a summary, but all that was touched: in a tree of the processes or folders, or listed by kind' -r -f -a "process\t'Each process under its parent, with its files'
folder\t'Each folder with its files'
kind\t'All that was read, executed, looked at, missing, listed, written, deleted'"
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l only -d 'Only what was touched in these ways: read, exec, stat, missing, list, write, delete' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l path -d 'Only paths that match GLOB, absolute or relative to the current folder' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l process -d 'Only what processes of this name did, or the one with this number in the report' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l target -d 'With --format depfile: what depends on the files read [default: the files written]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l kill-background -d 'Kill processes that outlive the command and the time of grace, instead of leaving them alone'
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -l live -d 'With --format ndjson: report while the command runs, not after, a line for each process that begins or ends and for the first access of a process to a path in one way'
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand trace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracerun -n "__fish_tracerun_using_subcommand explain" -l format -d 'The form of the answer' -r -f -a "text\t'For people'
json\t'One JSON object'"
complete -c tracerun -n "__fish_tracerun_using_subcommand explain" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand explain" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand explain" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand explain" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand explain" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracerun -n "__fish_tracerun_using_subcommand diff" -l format -d 'The form of the answer' -r -f -a "text\t'For people'
json\t'One JSON object'"
complete -c tracerun -n "__fish_tracerun_using_subcommand diff" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand diff" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand diff" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand diff" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand diff" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -l format -d 'The form of the report' -r -f -a "text\t'For people'
json\t'One JSON object'
ndjson\t'One JSON object a line'
html\t'A page to look into with a browser, in one file'
perfetto\t'The processes on a line of time: the trace events of Chrome, for Perfetto'
dot\t'The processes and their files as a graph, for Graphviz'
depfile\t'The files read as a rule of make, for make and Ninja'
compile-commands\t'The calls of compilers, for clangd'
cyclonedx\t'The files read with their digests: a bill of materials'"
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -s o -l output -d 'Write the report to FILE' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -l by -d 'Not a summary, but all that was touched: in a tree of the processes or folders, or listed by kind' -r -f -a "process\t'Each process under its parent, with its files'
folder\t'Each folder with its files'
kind\t'All that was read, executed, looked at, missing, listed, written, deleted'"
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -l only -d 'Only what was touched in these ways: read, exec, stat, missing, list, write, delete' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -l path -d 'Only paths that match GLOB, absolute or relative to the current folder' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -l process -d 'Only what processes of this name did, or the one with this number in the report' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -l target -d 'With --format depfile: what depends on the files read [default: the files written]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracerun -n "__fish_tracerun_using_subcommand list" -l format -d 'The form of the list' -r -f -a "text\t'For people'
json\t'One JSON object'"
complete -c tracerun -n "__fish_tracerun_using_subcommand list" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand list" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand list" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand list" -l all -d 'Those of every project, not only of this one'
complete -c tracerun -n "__fish_tracerun_using_subcommand list" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand list" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracerun -n "__fish_tracerun_using_subcommand who" -l run -d 'Only this run: its id, a unique beginning of it, `last` or `last~N` [default: all that are remembered]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand who" -l format -d 'The form of the answer' -r -f -a "text\t'For people'
json\t'One JSON object'"
complete -c tracerun -n "__fish_tracerun_using_subcommand who" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand who" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand who" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand who" -l why -d 'Why it is an input, or is none: the way from the command to the process that used it'
complete -c tracerun -n "__fish_tracerun_using_subcommand who" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand who" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand who" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l grace -d 'Milliseconds to wait for processes that outlive the command [default: 500]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l io-uring -d 'What programs that ask for io_uring, which opens files unseen, are told [default: refuse]' -r -f -a "refuse\t'That it is not permitted, as under Docker: they do without'
allow\t'Nothing: they get it, and a run in which one does is not stored'"
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l capture -d 'How to watch the process tree [default: auto]' -r -f -a "auto\t'The best that works here'
seccomp\t'The seccomp filter, with the preload library as its fast path'
seccomp-only\t'The seccomp filter alone'
ptrace\t'Every system call stopped by ptrace: complete, and slow'
preload\t'The preload library alone: never complete'"
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l inputs -d 'What CMD may read' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l outputs -d 'What CMD may write' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l from -d 'What the configuration of a task runner declares, besides: turbo#TASK, nx#TARGET, moon#TASK or vite#TASK' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l format -d 'The form of the findings' -r -f -a "text\t'For people'
json\t'One JSON object'
sarif\t'SARIF 2.1.0, for code scanning'
github\t'Annotations of GitHub Actions'"
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -s o -l output -d 'Where to write the findings [default: standard error, after the command has ended]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l kill-background -d 'Kill processes that outlive the command and the time of grace, instead of leaving them alone'
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -l fix -d 'Print the globs to add as well'
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l debounce -d 'How long nothing must happen before what has happened is looked at [default: 50]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l ignore-input -d 'What is read at or under GLOB does not count (`!GLOB` takes back)' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l ignore-output -d 'What is written at or under GLOB is neither stored nor restored (`!GLOB` takes back)' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l input -d 'What counts as input instead of what is observed: files at or under GLOB, read or not. `auto` stands for what is observed, `!GLOB` takes away, an empty one alone is none' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l output -d 'What is stored and restored instead of all that is left under the root: what is written at or under GLOB, wherever that is. `auto`, `!GLOB` and an empty one as with --input' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l env -d 'The command sees only this variable, others named so, and untracked ones' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l untracked-env -d 'This variable does not count' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l stdin -d 'What becomes of a standard input that is a pipe or socket' -r -f -a "pass\t'The command reads it, and a run that does is not stored'
hash\t'All of it is read before, and the run is stored for what it held'"
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l trust -d 'What is at or under DIR is known by size, modification time and inode, not by content' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l toolchain -d 'What systems install their packages to (or `paths` of [toolchain.NAME] in tracerun.toml) is known by what COMMAND prints, run by a shell in the root, and not by content: `--toolchain cc=\'cc --version\'`' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l grace -d 'Milliseconds to wait for processes that outlive the command [default: 500]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l io-uring -d 'What programs that ask for io_uring, which opens files unseen, are told [default: refuse]' -r -f -a "refuse\t'That it is not permitted, as under Docker: they do without'
allow\t'Nothing: they get it, and a run in which one does is not stored'"
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l capture -d 'How to watch the process tree [default: auto]' -r -f -a "auto\t'The best that works here'
seccomp\t'The seccomp filter, with the preload library as its fast path'
seccomp-only\t'The seccomp filter alone'
ptrace\t'Every system call stopped by ptrace: complete, and slow'
preload\t'The preload library alone: never complete'"
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l mtime -d 'The modification time of restored files: that of now, as if the command had run, or that which was recorded [default: now]' -r -f -a "now\t'That of the restoration'
recorded\t'That which the run left'"
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l remote -d 'The cache that is shared with other machines: http://, https://, grpc:// or grpcs://' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l format -d 'With --dry-run: the form of the answer' -r -f -a "text\t'For people'
json\t'One JSON object'"
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l summary -d 'Write what came of the run to FILE, as one JSON object' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l restart -d 'When something changes while CMD runs, end it and all that it started, and start again; otherwise it runs to its end'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l cache-failures -d 'Store runs that fail, too'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l allow-network -d 'Store runs that used the network, too'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l trust-preload -d 'Store runs that only the preload library watched, too: it cannot see everything'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l strict-listings -d 'Every name counts in a listing of a folder above the root or of the folder for temporary files, not only those that the command looked for somewhere'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l kill-background -d 'Kill processes that outlive the command and the time of grace, instead of leaving them alone'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l force -d 'Run even if there is a hit, and store the result'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l no-store -d 'Do not store the result'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l no-remote -d 'Ask no other machine, and tell none, whatever tracerun.toml or TRACERUN_REMOTE say'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -l dry-run -d 'Run nothing: say whether it would be a hit, and why not'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -f -a "stats" -d 'How much is stored, and what came of the runs so far'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -f -a "gc" -d 'Remove what nothing refers to, and what was not used for longest until the rest is within --cache-size'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -f -a "verify" -d 'Read everything that is stored and remove what is damaged; the exit status is 1 if there was any'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -f -a "clear" -d 'Remove everything that is stored'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and not __fish_seen_subcommand_from stats gc verify clear path" -f -a "path" -d 'Where it is'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from stats" -l format -d 'For people, or one JSON object' -r -f -a "text\t'For people'
json\t'One JSON object'"
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from stats" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from stats" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from stats" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from stats" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from stats" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from gc" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from gc" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from gc" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from gc" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from gc" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from gc" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from verify" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from verify" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from verify" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from clear" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from clear" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from clear" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from clear" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from clear" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from clear" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from path" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from path" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from path" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from path" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from path" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand cache; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand doctor" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand doctor" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand doctor" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand doctor" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand doctor" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand completions" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand completions" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand completions" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand completions" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand completions" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand completions" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand man" -l all -d 'Write the pages of all commands to the folder DIR instead' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand man" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand man" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand man" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand man" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand man" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand man" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand help" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand help" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand help" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand help" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand help" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand help" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-input" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-input" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-input" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-input" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-input" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-input" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-output" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-output" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-output" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-output" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-output" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand ignore-output" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand track-env" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand track-env" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand track-env" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand track-env" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand track-env" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand track-env" -s h -l help -d 'Print help'
complete -c tracerun -n "__fish_tracerun_using_subcommand disable-cache" -l cache-dir -d 'The cache folder [default: tracerun in the user\'s cache folder]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand disable-cache" -l cache-size -d 'How much the cache may hold, such as 500M [default: 10GiB]' -r
complete -c tracerun -n "__fish_tracerun_using_subcommand disable-cache" -l root -d 'The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]' -r -F
complete -c tracerun -n "__fish_tracerun_using_subcommand disable-cache" -s q -l quiet -d 'No final line'
complete -c tracerun -n "__fish_tracerun_using_subcommand disable-cache" -s v -l verbose -d 'Say more'
complete -c tracerun -n "__fish_tracerun_using_subcommand disable-cache" -s h -l help -d 'Print help'
