# Completion of ksmrun for bash; it asks the program. To use it: eval "$(ksmrun completion bash)"
_ksmrun() {
    local line value current=$2 program=${COMP_WORDS[0]} tab=$'\t'
    local -a found=() texts=()
    [[ $current != "=" ]] || current=
    type -P -- "$program" >/dev/null || program=ksmrun
    while IFS= read -r line; do
        case $line in
            :file) compopt -o filenames && mapfile -t -O "${#found[@]}" found < <(compgen -f -- "$current") ;;
            :folder) compopt -o filenames && mapfile -t -O "${#found[@]}" found < <(compgen -d -- "$current") ;;
            :command) mapfile -t -O "${#found[@]}" found < <(compgen -c -- "$current") ;;
            :rest\ *)
                if declare -F _command_offset >/dev/null; then
                    _command_offset $((${line#:rest } + 1))
                    return
                fi
                compopt -o filenames && mapfile -t found < <(compgen -f -- "$current")
                ;;
            *)
                value=${line%%"$tab"*}
                found+=("$value")
                texts+=("${line#*"$tab"}")
                ;;
        esac
    done < <("$program" --front=complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    COMPREPLY=("${found[@]}")
    # A list that is only shown (COMP_TYPE 63: the second tab) has descriptions.
    if [[ ${#found[@]} -gt 1 && ${#texts[@]} -eq ${#found[@]} && $COMP_TYPE == 63 ]]; then
        local at width=$((${COLUMNS:-80} - 4))
        for at in "${!found[@]}"; do
            [[ -n ${texts[at]} ]] || continue
            value="${found[at]}  (${texts[at]})"
            COMPREPLY[at]=${value:0:width}
        done
    fi
}
complete -F _ksmrun ksmrun
