# Completion of `sallyport` for bash. What there is to complete comes from the program itself, so it cannot fall behind.

_sallyport() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' before='' word kind a b c
    local -a found=()
    # bash takes --color=al apart at the "=".
    if [[ $cur == '=' ]]; then
        cur=''
    elif [[ $prev == '=' ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    # The value of -c may stand before the command.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
        = | -c | --config) before=$word ;;
        -*) before='' ;;
        *)
            [[ -n $command || -n $before ]] || command=$word
            before=''
            ;;
        esac
    done
    kind=''
    while IFS=$'\t' read -r a b c; do
        case $a in
        option)
            [[ $prev == "$b" && $c != - ]] && kind=$c
            [[ $cur == -* ]] && found+=("$b")
            ;;
        command) [[ $cur != -* ]] && found+=("$b") ;;
        argument) [[ $cur != -* && -z $kind ]] && kind=$b ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete "$command" 2>/dev/null)
    case $kind in
    FILE)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    '') ;;
    WORD) return ;;
    *) IFS='|' read -r -a found <<<"$kind" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "${found[*]}" -- "$cur")
}
complete -F _sallyport sallyport
