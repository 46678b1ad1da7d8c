#compdef tracerun

autoload -U is-at-least

_tracerun() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'*--ignore-input=[What is read at or under GLOB does not count (\`!GLOB\` takes back)]:GLOB:_default' \
'*--ignore-output=[What is written at or under GLOB is neither stored nor restored (\`!GLOB\` takes back)]:GLOB:_default' \
'*--input=[What counts as input instead of what is observed\: files at or under GLOB, read or not. \`auto\` stands for what is observed, \`!GLOB\` takes away, an empty one alone is none]:GLOB|auto:_default' \
'*--output=[What is stored and restored instead of all that is left under the root\: what is written at or under GLOB, wherever that is. \`auto\`, \`!GLOB\` and an empty one as with --input]:GLOB|auto:_default' \
'*--env=[The command sees only this variable, others named so, and untracked ones]:NAME|GLOB:_default' \
'*--untracked-env=[This variable does not count]:NAME|GLOB:_default' \
'--stdin=[What becomes of a standard input that is a pipe or socket]:MODE:((pass\:"The command reads it, and a run that does is not stored"
hash\:"All of it is read before, and the run is stored for what it held"))' \
'*--trust=[What is at or under DIR is known by size, modification time and inode, not by content]:DIR|GLOB:_default' \
'*--toolchain=[What systems install their packages to (or \`paths\` of \[toolchain.NAME\] in tracerun.toml) is known by what COMMAND prints, run by a shell in the root, and not by content\: \`--toolchain cc='\''cc --version'\''\`]:NAME=COMMAND:_default' \
'--grace=[Milliseconds to wait for processes that outlive the command \[default\: 500\]]:MS:_default' \
'--io-uring=[What programs that ask for io_uring, which opens files unseen, are told \[default\: refuse\]]:ANSWER:((refuse\:"That it is not permitted, as under Docker\: they do without"
allow\:"Nothing\: they get it, and a run in which one does is not stored"))' \
'--capture=[How to watch the process tree \[default\: auto\]]:CAPTURE:((auto\:"The best that works here"
seccomp\:"The seccomp filter, with the preload library as its fast path"
seccomp-only\:"The seccomp filter alone"
ptrace\:"Every system call stopped by ptrace\: complete, and slow"
preload\:"The preload library alone\: never complete"))' \
'--mtime=[The modification time of restored files\: that of now, as if the command had run, or that which was recorded \[default\: now\]]:WHICH:((now\:"That of the restoration"
recorded\:"That which the run left"))' \
'--remote=[The cache that is shared with other machines\: http\://, https\://, grpc\:// or grpcs\://]:URL:_default' \
'--format=[With --dry-run\: the form of the answer]:FORMAT:((text\:"For people"
json\:"One JSON object"))' \
'--summary=[Write what came of the run to FILE, as one JSON object]:FILE:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'--cache-failures[Store runs that fail, too]' \
'--allow-network[Store runs that used the network, too]' \
'--trust-preload[Store runs that only the preload library watched, too\: it cannot see everything]' \
'--strict-listings[Every name counts in a listing of a folder above the root or of the folder for temporary files, not only those that the command looked for somewhere]' \
'--kill-background[Kill processes that outlive the command and the time of grace, instead of leaving them alone]' \
'--force[Run even if there is a hit, and store the result]' \
'--no-store[Do not store the result]' \
'--no-remote[Ask no other machine, and tell none, whatever tracerun.toml or TRACERUN_REMOTE say]' \
'(--force --no-store --summary)--dry-run[Run nothing\: say whether it would be a hit, and why not]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
':argv -- The command and its arguments:_default' \
":: :_tracerun_commands" \
"*::: :->tracerun" \
&& ret=0
    case $state in
    (tracerun)
        words=($line[2] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tracerun-command-$line[2]:"
        case $line[2] in
            (trace)
_arguments "${_arguments_options[@]}" : \
'--grace=[Milliseconds to wait for processes that outlive the command \[default\: 500\]]:MS:_default' \
'--io-uring=[What programs that ask for io_uring, which opens files unseen, are told \[default\: refuse\]]:ANSWER:((refuse\:"That it is not permitted, as under Docker\: they do without"
allow\:"Nothing\: they get it, and a run in which one does is not stored"))' \
'--capture=[How to watch the process tree \[default\: auto\]]:CAPTURE:((auto\:"The best that works here"
seccomp\:"The seccomp filter, with the preload library as its fast path"
seccomp-only\:"The seccomp filter alone"
ptrace\:"Every system call stopped by ptrace\: complete, and slow"
preload\:"The preload library alone\: never complete"))' \
'--format=[The form of the report]:FORMAT:((text\:"For people"
json\:"One JSON object"
ndjson\:"One JSON object a line"
html\:"A page to look into with a browser, in one file"
perfetto\:"The processes on a line of time\: the trace events of Chrome, for Perfetto"
dot\:"The processes and their files as a graph, for Graphviz"
depfile\:"The files read as a rule of make, for make and Ninja"
compile-commands\:"The calls of compilers, for clangd"
cyclonedx\:"The files read with their digests\: a bill of materials"))' \
'-o+[Write the report to FILE]:FILE:_files' \
'--output=[Write the report to FILE]:FILE:_files' \
'--by=[Not a summary, but all that was touched\: in a tree of the processes or folders, or listed by kind]:WHAT:((process\:"Each process under its parent, with its files"
folder\:"Each folder with its files"
kind\:"All that was read, executed, looked at, missing, listed, written, deleted"))' \
'*--only=[Only what was touched in these ways\: read, exec, stat, missing, list, write, delete]:KIND:_default' \
'--path=[Only paths that match GLOB, absolute or relative to the current folder]:GLOB:_default' \
'--process=[Only what processes of this name did, or the one with this number in the report]:NAME:_default' \
'--target=[With --format depfile\: what depends on the files read \[default\: the files written\]]:NAME:_default' \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'--kill-background[Kill processes that outlive the command and the time of grace, instead of leaving them alone]' \
'(--by --only --path --process --target)--live[With --format ndjson\: report while the command runs, not after, a line for each process that begins or ends and for the first access of a process to a path in one way]' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'*::argv -- The command and its arguments:_default' \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
'--format=[The form of the answer]:FORMAT:((text\:"For people"
json\:"One JSON object"))' \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'::run -- A run\: its id, a unique beginning of it, `last` or `last~N`:_default' \
&& ret=0
;;
(diff)
_arguments "${_arguments_options[@]}" : \
'--format=[The form of the answer]:FORMAT:((text\:"For people"
json\:"One JSON object"))' \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':before -- A run\: its id, a unique beginning of it, `last` or `last~N`:_default' \
':after -- Another:_default' \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
'--format=[The form of the report]:FORMAT:((text\:"For people"
json\:"One JSON object"
ndjson\:"One JSON object a line"
html\:"A page to look into with a browser, in one file"
perfetto\:"The processes on a line of time\: the trace events of Chrome, for Perfetto"
dot\:"The processes and their files as a graph, for Graphviz"
depfile\:"The files read as a rule of make, for make and Ninja"
compile-commands\:"The calls of compilers, for clangd"
cyclonedx\:"The files read with their digests\: a bill of materials"))' \
'-o+[Write the report to FILE]:FILE:_files' \
'--output=[Write the report to FILE]:FILE:_files' \
'--by=[Not a summary, but all that was touched\: in a tree of the processes or folders, or listed by kind]:WHAT:((process\:"Each process under its parent, with its files"
folder\:"Each folder with its files"
kind\:"All that was read, executed, looked at, missing, listed, written, deleted"))' \
'*--only=[Only what was touched in these ways\: read, exec, stat, missing, list, write, delete]:KIND:_default' \
'--path=[Only paths that match GLOB, absolute or relative to the current folder]:GLOB:_default' \
'--process=[Only what processes of this name did, or the one with this number in the report]:NAME:_default' \
'--target=[With --format depfile\: what depends on the files read \[default\: the files written\]]:NAME:_default' \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'::run -- A run\: its id, a unique beginning of it, `last` or `last~N`:_default' \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
'--format=[The form of the list]:FORMAT:((text\:"For people"
json\:"One JSON object"))' \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'--all[Those of every project, not only of this one]' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(who)
_arguments "${_arguments_options[@]}" : \
'--run=[Only this run\: its id, a unique beginning of it, \`last\` or \`last~N\` \[default\: all that are remembered\]]:RUN:_default' \
'--format=[The form of the answer]:FORMAT:((text\:"For people"
json\:"One JSON object"))' \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'--why[Why it is an input, or is none\: the way from the command to the process that used it]' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':path -- The file or folder, absolute or relative to the current folder:_files' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'--grace=[Milliseconds to wait for processes that outlive the command \[default\: 500\]]:MS:_default' \
'--io-uring=[What programs that ask for io_uring, which opens files unseen, are told \[default\: refuse\]]:ANSWER:((refuse\:"That it is not permitted, as under Docker\: they do without"
allow\:"Nothing\: they get it, and a run in which one does is not stored"))' \
'--capture=[How to watch the process tree \[default\: auto\]]:CAPTURE:((auto\:"The best that works here"
seccomp\:"The seccomp filter, with the preload library as its fast path"
seccomp-only\:"The seccomp filter alone"
ptrace\:"Every system call stopped by ptrace\: complete, and slow"
preload\:"The preload library alone\: never complete"))' \
'*--inputs=[What CMD may read]:GLOB:_default' \
'*--outputs=[What CMD may write]:GLOB:_default' \
'--from=[What the configuration of a task runner declares, besides\: turbo#TASK, nx#TARGET, moon#TASK or vite#TASK]:TOOL#TASK:_default' \
'--format=[The form of the findings]:FORMAT:((text\:"For people"
json\:"One JSON object"
sarif\:"SARIF 2.1.0, for code scanning"
github\:"Annotations of GitHub Actions"))' \
'-o+[Where to write the findings \[default\: standard error, after the command has ended\]]:FILE:_files' \
'--output=[Where to write the findings \[default\: standard error, after the command has ended\]]:FILE:_files' \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'--kill-background[Kill processes that outlive the command and the time of grace, instead of leaving them alone]' \
'--fix[Print the globs to add as well]' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'*::argv -- The command and its arguments:_default' \
&& ret=0
;;
(watch)
_arguments "${_arguments_options[@]}" : \
'--debounce=[How long nothing must happen before what has happened is looked at \[default\: 50\]]:MS:_default' \
'*--ignore-input=[What is read at or under GLOB does not count (\`!GLOB\` takes back)]:GLOB:_default' \
'*--ignore-output=[What is written at or under GLOB is neither stored nor restored (\`!GLOB\` takes back)]:GLOB:_default' \
'*--input=[What counts as input instead of what is observed\: files at or under GLOB, read or not. \`auto\` stands for what is observed, \`!GLOB\` takes away, an empty one alone is none]:GLOB|auto:_default' \
'*--output=[What is stored and restored instead of all that is left under the root\: what is written at or under GLOB, wherever that is. \`auto\`, \`!GLOB\` and an empty one as with --input]:GLOB|auto:_default' \
'*--env=[The command sees only this variable, others named so, and untracked ones]:NAME|GLOB:_default' \
'*--untracked-env=[This variable does not count]:NAME|GLOB:_default' \
'--stdin=[What becomes of a standard input that is a pipe or socket]:MODE:((pass\:"The command reads it, and a run that does is not stored"
hash\:"All of it is read before, and the run is stored for what it held"))' \
'*--trust=[What is at or under DIR is known by size, modification time and inode, not by content]:DIR|GLOB:_default' \
'*--toolchain=[What systems install their packages to (or \`paths\` of \[toolchain.NAME\] in tracerun.toml) is known by what COMMAND prints, run by a shell in the root, and not by content\: \`--toolchain cc='\''cc --version'\''\`]:NAME=COMMAND:_default' \
'--grace=[Milliseconds to wait for processes that outlive the command \[default\: 500\]]:MS:_default' \
'--io-uring=[What programs that ask for io_uring, which opens files unseen, are told \[default\: refuse\]]:ANSWER:((refuse\:"That it is not permitted, as under Docker\: they do without"
allow\:"Nothing\: they get it, and a run in which one does is not stored"))' \
'--capture=[How to watch the process tree \[default\: auto\]]:CAPTURE:((auto\:"The best that works here"
seccomp\:"The seccomp filter, with the preload library as its fast path"
seccomp-only\:"The seccomp filter alone"
ptrace\:"Every system call stopped by ptrace\: complete, and slow"
preload\:"The preload library alone\: never complete"))' \
'--mtime=[The modification time of restored files\: that of now, as if the command had run, or that which was recorded \[default\: now\]]:WHICH:((now\:"That of the restoration"
recorded\:"That which the run left"))' \
'--remote=[The cache that is shared with other machines\: http\://, https\://, grpc\:// or grpcs\://]:URL:_default' \
'--format=[With --dry-run\: the form of the answer]:FORMAT:((text\:"For people"
json\:"One JSON object"))' \
'--summary=[Write what came of the run to FILE, as one JSON object]:FILE:_files' \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'--restart[When something changes while CMD runs, end it and all that it started, and start again; otherwise it runs to its end]' \
'--cache-failures[Store runs that fail, too]' \
'--allow-network[Store runs that used the network, too]' \
'--trust-preload[Store runs that only the preload library watched, too\: it cannot see everything]' \
'--strict-listings[Every name counts in a listing of a folder above the root or of the folder for temporary files, not only those that the command looked for somewhere]' \
'--kill-background[Kill processes that outlive the command and the time of grace, instead of leaving them alone]' \
'--force[Run even if there is a hit, and store the result]' \
'--no-store[Do not store the result]' \
'--no-remote[Ask no other machine, and tell none, whatever tracerun.toml or TRACERUN_REMOTE say]' \
'(--force --no-store --summary)--dry-run[Run nothing\: say whether it would be a hit, and why not]' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'*::argv -- The command and its arguments:_default' \
&& ret=0
;;
(cache)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
":: :_tracerun__subcmd__cache_commands" \
"*::: :->cache" \
&& ret=0

    case $state in
    (cache)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tracerun-cache-command-$line[1]:"
        case $line[1] in
            (stats)
_arguments "${_arguments_options[@]}" : \
'--format=[For people, or one JSON object]:FORMAT:((text\:"For people"
json\:"One JSON object"))' \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(gc)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(verify)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(clear)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(path)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
        esac
    ;;
esac
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
':shell -- bash, elvish, fish, powershell or zsh:(bash elvish fish powershell zsh)' \
&& ret=0
;;
(man)
_arguments "${_arguments_options[@]}" : \
'()--all=[Write the pages of all commands to the folder DIR instead]:DIR:_files' \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
'*::words -- The command whose page it is, such as `cache gc` \[default\: tracerun itself\]:_default' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
'*::words -- Words of a command, such as `cache gc`, or a topic\: tracerun --help lists both \[default\: tracerun itself\]:_default' \
&& ret=0
;;
(ignore-input)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
'*::paths:_files' \
&& ret=0
;;
(ignore-output)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
'*::paths:_files' \
&& ret=0
;;
(track-env)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
'*::names:_default' \
&& ret=0
;;
(disable-cache)
_arguments "${_arguments_options[@]}" : \
'--cache-dir=[The cache folder \[default\: tracerun in the user'\''s cache folder\]]:DIR:_files' \
'--cache-size=[How much the cache may hold, such as 500M \[default\: 10GiB\]]:SIZE:_default' \
'--root=[The root of the project \[default\: the nearest folder above with tracerun.toml or .git, else the current one\]]:DIR:_files' \
'-q[No final line]' \
'--quiet[No final line]' \
'(-q --quiet)-v[Say more]' \
'(-q --quiet)--verbose[Say more]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
        esac
    ;;
esac
}

(( $+functions[_tracerun_commands] )) ||
_tracerun_commands() {
    local commands; commands=(
'trace:Always run, never cache; report what was touched' \
'explain:Why the last run, or RUN, hit, missed or was not cached' \
'diff:What run B used, made and did otherwise than run A' \
'show:What a run touched, and what came of it' \
'list:The runs of this project that are remembered, newest first' \
'who:Which runs and processes read, wrote or looked for PATH' \
'check:Whether CMD reads and writes only what is declared\: exits with 1 if it does not' \
'watch:Run again whenever something changes that the last run observed' \
'cache:The cache folder' \
'doctor:What can be captured on this machine, and how' \
'completions:A completion script for SHELL, on standard output' \
'man:A manual page, on standard output' \
'help:What a command does, or a page on a topic' \
'ignore-input:From inside a run\: reads, stats and listings at or under PATH do not count' \
'ignore-output:From inside a run\: writes at or under PATH are neither stored nor restored' \
'track-env:From inside a run\: the value of variable NAME counts' \
'disable-cache:From inside a run\: it is not to be stored' \
    )
    _describe -t commands 'tracerun commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__cache_commands] )) ||
_tracerun__subcmd__cache_commands() {
    local commands; commands=(
'stats:How much is stored, and what came of the runs so far' \
'gc:Remove what nothing refers to, and what was not used for longest until the rest is within --cache-size' \
'verify:Read everything that is stored and remove what is damaged; the exit status is 1 if there was any' \
'clear:Remove everything that is stored' \
'path:Where it is' \
    )
    _describe -t commands 'tracerun cache commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__cache__subcmd__clear_commands] )) ||
_tracerun__subcmd__cache__subcmd__clear_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun cache clear commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__cache__subcmd__gc_commands] )) ||
_tracerun__subcmd__cache__subcmd__gc_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun cache gc commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__cache__subcmd__path_commands] )) ||
_tracerun__subcmd__cache__subcmd__path_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun cache path commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__cache__subcmd__stats_commands] )) ||
_tracerun__subcmd__cache__subcmd__stats_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun cache stats commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__cache__subcmd__verify_commands] )) ||
_tracerun__subcmd__cache__subcmd__verify_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun cache verify commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__check_commands] )) ||
_tracerun__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun check commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__completions_commands] )) ||
_tracerun__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun completions commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__diff_commands] )) ||
_tracerun__subcmd__diff_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun diff commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__disable-cache_commands] )) ||
_tracerun__subcmd__disable-cache_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun disable-cache commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__doctor_commands] )) ||
_tracerun__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun doctor commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__explain_commands] )) ||
_tracerun__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun explain commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__help_commands] )) ||
_tracerun__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun help commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__ignore-input_commands] )) ||
_tracerun__subcmd__ignore-input_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun ignore-input commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__ignore-output_commands] )) ||
_tracerun__subcmd__ignore-output_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun ignore-output commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__list_commands] )) ||
_tracerun__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun list commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__man_commands] )) ||
_tracerun__subcmd__man_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun man commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__show_commands] )) ||
_tracerun__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun show commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__trace_commands] )) ||
_tracerun__subcmd__trace_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun trace commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__track-env_commands] )) ||
_tracerun__subcmd__track-env_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun track-env commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__watch_commands] )) ||
_tracerun__subcmd__watch_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun watch commands' commands "$@"
}
(( $+functions[_tracerun__subcmd__who_commands] )) ||
_tracerun__subcmd__who_commands() {
    local commands; commands=()
    _describe -t commands 'tracerun who commands' commands "$@"
}

if [ "$funcstack[1]" = "_tracerun" ]; then
    _tracerun "$@"
else
    compdef _tracerun tracerun
fi
