# SPDX-License-Identifier: BSD-3-Clause
#
# Completion of npf's commands, options and values for bash. Installed as
# share/bash-completion/completions/npf.

_npf_adapters()
{
	npf list --json 2>/dev/null | grep -o '"name":"[^"\\]*"' | cut -d'"' -f4
}

_npf_values()
{
	case $1 in
	-i | --interface) _npf_adapters ;;
	--hook) echo auto tcx socket tpacket ;;
	--stage)
		echo cbpf form optimised cbpf-optimised ebpf ebpf-copy x86 vector c
		;;
	-Q | --direction) echo in out inout ;;
	-B | --buffer) echo 1M 4M 16M 64M 256M 1G ;;
	*) return 1 ;;
	esac
}

_npf_options()
{
	case $1 in
	list) echo --json --follow --help ;;
	capture)
		echo --interface --no-promiscuous --direction --hook --read --write --nano --micro \
			--packet-buffered --link-header --hex --quiet --count --snaplen --buffer \
			--min-to-copy --timeout --immediate --hosts --nets --ports --help
		;;
	stat) echo --interface --no-promiscuous --interval --count --once --json --hook --help ;;
	doctor) echo --interface --json --help ;;
	filter) echo --count --invert --quiet --hosts --nets --ports --help ;;
	bpf) echo --stage --passes --graph --check --link-type --program --json --help ;;
	esac
}

_npf()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} values

	COMPREPLY=()
	if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ $before == help ]]; }; then
		mapfile -t COMPREPLY < <(compgen -W 'list capture stat doctor filter bpf help' -- "$word")
		return
	fi
	case $before in
	-w | --write | -r | --read | --hosts | --nets | --ports | --graph | --check | -F | --program | filter)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	esac
	if values=$(_npf_values "$before"); then
		mapfile -t COMPREPLY < <(compgen -W "$values" -- "$word")
	elif [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_npf_options "${COMP_WORDS[1]}")" -- "$word")
	fi
}

complete -F _npf npf
