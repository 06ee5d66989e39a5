# bash completion of vmcore-guest. Options come from `vmcore-guest VERB --help`, so they cannot go stale.
_vmcore_guest()
{
    local cur prev words cword
    _init_completion || return
    local verb= word
    for word in "${words[@]:1:cword-1}"; do
        [[ $word == -* ]] || { verb=$word; break; }
    done
    if [[ -z $verb ]]; then
        COMPREPLY=($(compgen -W "$(vmcore-guest --help 2>/dev/null |
            sed -n '/^Subcommands:/,$s/^  \([a-z]\+\) .*/\1/p') --help --version" -- "$cur"))
        return
    fi
    case $prev in
        --root) _filedir -d; return ;;
        --output) COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        --panic-on) COMPREPLY=($(compgen -W "oops nmi softlockup hung-task" -- "$cur")); return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$(vmcore-guest "$verb" --help 2>/dev/null |
            grep -oE -- '(^|[ ,])--?[a-z][a-z-]*' | tr -d ' ,')" -- "$cur"))
    else
        _filedir
    fi
}
complete -F _vmcore_guest vmcore-guest
