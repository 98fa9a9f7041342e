/* cli/completion.c - `weir completion`: scripts with which shells ask `weir complete`. They hold no names themselves, so they do
 * not grow old. */
#include <stdio.h>
#include <string.h>
#include "base/obj.h"
#include "cli/command.h"

/* Readline breaks words at "=" and ":" too, so that only what follows the last of them may be given back. */
static const char bash[] =
	"# bash completion for weir: source it, or put it into share/bash-completion/completions\n"
	"_weir() {\n"
	"	local line=${COMP_LINE:0:COMP_POINT} words word text current typed=\n"
	"	read -ra words <<<\"$line\"\n"
	"	[[ $line == *[[:space:]] ]] && words+=(\"\")\n"
	"	current=${words[-1]}\n"
	"	[[ $current == *[:=]* ]] && typed=${current%\"${current##*[:=]}\"}\n"
	"	COMPREPLY=()\n"
	"	while IFS=$'\\t' read -r word text; do\n"
	"		if [[ $word == :files ]]; then\n"
	"			compopt -o filenames 2>/dev/null\n"
	"			mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- "
	"\"${current#\"$typed\"}\")\n"
	"			continue\n"
	"		fi\n"
	"		[[ $word == *= ]] && compopt -o nospace 2>/dev/null\n"
	"		COMPREPLY+=(\"${word#\"$typed\"}\")\n"
	"	done < <(\"${words[0]}\" complete -- \"${words[@]:1}\" 2>/dev/null)\n"
	"}\n"
	"complete -F _weir weir\n";

static const char zsh[] =
	"#compdef weir\n"
	"# zsh completion for weir: put it into a directory of $fpath as _weir, or source it after compinit\n"
	"_weir() {\n"
	"	local word text files=\n"
	"	local -a found open\n"
	"	while IFS=$'\\t' read -r word text; do\n"
	"		case $word in\n"
	"		:files) files=yes ;;\n"
	"		*=) open+=(\"${word//:/\\\\:}:$text\") ;;\n"
	"		*) found+=(\"${word//:/\\\\:}:$text\") ;;\n"
	"		esac\n"
	"	done < <(\"${(Q)words[1]}\" complete -- \"${(@Q)words[2,CURRENT]}\" 2>/dev/null)\n"
	"	[[ -n $files ]] && _files\n"
	"	(( $#open )) && _describe weir open -S ''\n"
	"	(( $#found )) && _describe weir found\n"
	"}\n"
	"if [[ $funcstack[1] == _weir ]]; then\n"
	"	_weir \"$@\"\n"
	"else\n"
	"	compdef _weir weir\n"
	"fi\n";

static const char fish[] =
	"# fish completion for weir: put it into share/fish/vendor_completions.d, or source it\n"
	"function __weir_complete\n"
	"	set -l words (commandline -opc) (commandline -ct)\n"
	"	for line in (command $words[1] complete -- $words[2..-1] 2>/dev/null)\n"
	"		if test \"$line\" = :files\n"
	"			__fish_complete_path (commandline -ct)\n"
	"		else\n"
	"			echo $line\n"
	"		end\n"
	"	end\n"
	"end\n"
	"complete -c weir -f -a '(__weir_complete)'\n";

static const struct {
	const char *shell, *script;
} scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

static int run(const void *parsed, const struct cli_list *arguments)
{
	(void)parsed;
	if (arguments->n == 0)
		return cli_usage(&completion_command, "for which shell? bash, zsh or fish");
	for (size_t i = 0; i < COUNT_OF(scripts); i++) {
		if (strcmp(arguments->v[0], scripts[i].shell) != 0)
			continue;
		fputs(scripts[i].script, stdout);
		return CLI_DONE;
	}
	return cli_usage(&completion_command, "\"%s\" is none of bash, zsh, fish", arguments->v[0]);
}

const struct cli_command completion_command = {
	.name = "completion",
	.synopsis = "bash|zsh|fish",
	.summary = "print a script that completes weir's command lines",
	.examples = "  source <(weir completion bash)                     # in ~/.bashrc\n"
		    "  source <(weir completion zsh)                      # in ~/.zshrc, after compinit\n"
		    "  weir completion fish | source                      # in ~/.config/fish/config.fish",
	.help = "Completes commands, options and their values, and the names of tenants, services, pools and "
		"backends that the running weir fronts (WEIR_SOCKET, WEIR_ADMIN and WEIR_TOKEN say where it "
		"is; "
		"--socket and --admin on the line do too). \"make install\" and the package install the "
		"scripts for all users.",
	.arguments = 1,
	.run = run,
};
