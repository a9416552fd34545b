# Completion of ksmrun for fish; it asks the program. To use it: ksmrun completion fish | source
function __ksmrun_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in (command $words[1] --front=complete $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case :file
                __fish_complete_path $current
            case :folder
                __fish_complete_directories $current
            case :command
                complete -C "$current"
            case ':rest *'
                set -l skip (math (string replace ':rest ' '' -- $line) + 1)
                complete -C (string join ' ' -- (string escape -- $words[(math $skip + 1)..-1]) "$current")
            case '*'
                echo $line
        end
    end
end
complete -c ksmrun -f -a '(__ksmrun_complete)'
