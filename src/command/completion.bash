# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion of vmcorectl, vmcore-guest and vmcored. Verbs and options come from `PROGRAM --help` and
# `PROGRAM VERB --help`, so they cannot go stale.

# Offers the lines of standard input that begin with the word. A name may have spaces.
_vmcorectl_names()
{
    local name quoted
    while IFS= read -r name; do
        printf -v quoted %q "$name"
        [[ -n $name && ($name == "$cur"* || $quoted == "$cur"*) ]] && COMPREPLY+=("$quoted")
    done
}

# The domains of the libvirt that the line names with -c: those that run, or all.
_vmcorectl_domains()
{
    local uri= i
    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
            -c|--connect) uri=${words[i + 1]}; [[ $uri != = ]] || uri=${words[i + 2]} ;;
            --connect=*) uri=${words[i]#--connect=} ;;
            -c?*) uri=${words[i]#-c} ;;
        esac
    done
    uri=${uri#[\"\']} uri=${uri%[\"\']}
    _vmcorectl_names < <(virsh -q ${uri:+-c "$uri"} list --name "$@" 2>/dev/null </dev/null)
}

_vmcorectl()
{
    local cur prev words cword
    _init_completion -n := || return
    local program=$1 verb= i
    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
            -c|--connect|--output|--qmp|--store|--root|-o|--file) i=$((i + 1)) ;;
            -*) ;;
            help) ;;
            *) verb=${words[i]}; break ;;
        esac
    done
    case $prev in
        --output) COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        --svg) _filedir svg; return ;;
        --html) _filedir html; return ;;
        --reason) COMPREPLY=($(compgen -W "panic hang request" -- "$cur")); return ;;
        -o|--file|--log|--qmp|--channel|--key|--event) _filedir; return ;;
        --from|--run) _filedir; return ;;
        --spool|--folder|--root|--store|--cache|--results) _filedir -d; return ;;
        -c|--connect)
            COMPREPLY=($(compgen -W "qemu:///system qemu:///session" -- "$cur"))
            __ltrim_colon_completions "$cur"
            return ;;
    esac
    if [[ -z $verb ]]; then
        COMPREPLY=($(compgen -W "$("$program" --help 2>/dev/null |
            sed -n '/^Subcommands:/,$s/^  \([a-z]\+\) .*/\1/p') help --help --version" -- "$cur"))
        return
    fi
    # Of an option that takes one of several words: "  --format TEXT:{kdump,elf} [kdump]".
    if [[ $prev =~ ^--?[a-z-]+$ ]]; then
        COMPREPLY=($(compgen -W "$("$program" "$verb" --help 2>/dev/null |
            sed -nE "s/^ +(-[a-zA-Z],)?$prev [A-Z]+:\\{([^}]*)\\}.*/\\2/p" | tr , ' ')" -- "$cur"))
        [[ ${#COMPREPLY[@]} -eq 0 ]] || return
    fi
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$("$program" "$verb" --help 2>/dev/null |
            grep -oE -- '(^|[ ,])--?[a-z][a-z-]*' | tr -d ' ,' | sort -u)" -- "$cur"))
        return
    fi
    case $verb in
        path|export|hold|rm)
            COMPREPLY=($(compgen -W "$("$program" list 2>/dev/null | sed -n '2,$s/ .*//p')" -- "$cur"))
            [[ $verb != export ]] || _filedir -d ;;
        # A definition is read and changed whether its domain runs or not.
        check|list|arm|disarm) _vmcorectl_domains --all ;;
        dump|look) _vmcorectl_domains ;;
        prune) ;;
        receive|dmesg|info|report|memory|debuginfo|debug) _filedir; _vmcorectl_domains ;;
        *) _filedir ;;
    esac
}
complete -F _vmcorectl vmcorectl vmcore-guest

_vmcored()
{
    local cur prev words cword
    _init_completion || return
    case $prev in
        --config) _filedir conf; return ;;
        --store|--qmp-folder|--state) _filedir -d; return ;;
        --socket) _filedir; return ;;
        -c|--connect) COMPREPLY=($(compgen -W "qemu:///system qemu:///session" -- "$cur")); return ;;
    esac
    COMPREPLY=($(compgen -W "$("$1" --help 2>/dev/null | grep -oE -- '(^|[ ,])--?[a-z][a-z-]*' | tr -d ' ,')" -- "$cur"))
}
complete -F _vmcored vmcored
