# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion of vmcorectl, vmcore-guest and vmcored. Options come from `PROGRAM VERB --help`, so they cannot go stale.
_vmcorectl()
{
    local cur prev words cword
    _init_completion || return
    local program=$1 verb= word
    for word in "${words[@]:1:cword-1}"; do
        [[ $word == -* ]] || { verb=$word; break; }
    done
    if [[ -z $verb ]]; then
        COMPREPLY=($(compgen -W "$("$program" --help 2>/dev/null |
            sed -n '/^Subcommands:/,$s/^  \([a-z]\+\) .*/\1/p') --help --version" -- "$cur"))
        return
    fi
    case $prev in
        --format) COMPREPLY=($(compgen -W "kdump elf" -- "$cur")); return ;;
        --compress) COMPREPLY=($(compgen -W "zstd zlib lzo snappy none" -- "$cur")); return ;;
        --output) COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        --method) COMPREPLY=($(compgen -W "auto direct qmp libvirt" -- "$cur")); return ;;
        --consistency) COMPREPLY=($(compgen -W "pause torn snapshot" -- "$cur")); return ;;
        --then|--then-always) COMPREPLY=($(compgen -W "resume reset destroy" -- "$cur")); return ;;
        --crash-guest) COMPREPLY=($(compgen -W "nmi sysrq agent" -- "$cur")); return ;;
        --panic-on) COMPREPLY=($(compgen -W "oops nmi softlockup hung-task" -- "$cur")); return ;;
        --svg) _filedir svg; return ;;
        --html) _filedir html; return ;;
        --reason) COMPREPLY=($(compgen -W "panic hang request" -- "$cur")); return ;;
        -o|--file|--log|--qmp|--channel|--key|--event) _filedir; return ;;
        --with) COMPREPLY=($(compgen -W "crash drgn gdb" -- "$cur")); return ;;
        --from|--run) _filedir; return ;;
        --spool|--folder|--root|--store|--cache|--results) _filedir -d; return ;;
        -c|--connect) COMPREPLY=($(compgen -W "qemu:///system qemu:///session" -- "$cur")); return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$("$program" "$verb" --help 2>/dev/null |
            grep -oE -- '(^|[ ,])--?[a-z][a-z-]*' | tr -d ' ,')" -- "$cur"))
    elif [[ $verb == path || $verb == export || $verb == hold || $verb == rm ]]; then
        COMPREPLY=($(compgen -W "$("$program" list 2>/dev/null | sed -n '2,$s/ .*//p')" -- "$cur"))
        [[ $verb != export ]] || _filedir -d
    elif [[ $verb == list || $verb == arm || $verb == disarm ]]; then
        COMPREPLY=($(compgen -W "$(virsh -q list --all --name 2>/dev/null)" -- "$cur"))
    elif [[ $verb == prune ]]; then
        return
    elif [[ $verb == check || $verb == dump || $verb == receive || $verb == dmesg || $verb == info || $verb == report || $verb == memory || $verb == debuginfo ]]; then
        [[ $verb == check || $verb == dump ]] || _filedir
        COMPREPLY+=($(compgen -W "$(virsh -q list --name 2>/dev/null)" -- "$cur"))
    else
        _filedir
    fi
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
