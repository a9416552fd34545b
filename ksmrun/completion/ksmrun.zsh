#compdef ksmrun
# Completion of ksmrun for zsh; it asks the program. To use it: eval "$(ksmrun completion zsh)"
_ksmrun() {
    local line value text tab=$'\t' program=${(Q)words[1]}
    local -a found
    (( $+commands[$program] )) || [[ -x $program ]] || program=ksmrun
    local -a lines=("${(@f)$("$program" --front=complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    for line in $lines; do
        case $line in
            :file) _files; return ;;
            :folder) _files -/; return ;;
            :command) _command_names -e; return ;;
            :rest\ *)
                local skip=$(( ${line#:rest } + 1 ))
                shift $skip words
                (( CURRENT -= skip ))
                _normal
                return
                ;;
            *)
                value=${line%%$tab*} text=${line#*$tab}
                found+=("${value//:/\\:}${text:+:$text}")
                ;;
        esac
    done
    _describe -t values ksmrun found
}
if [[ $funcstack[1] == _ksmrun ]]; then
    _ksmrun "$@"
else
    compdef _ksmrun ksmrun
fi
