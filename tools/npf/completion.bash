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
	--path) echo auto socket xsk clone xdp ;;
	-n | --repeat) echo forever ;;
	--rate) echo 10kpps 100Mbps ;;
	--stage)
		echo cbpf form optimised cbpf-optimised ebpf ebpf-peek ebpf-copy x86 vector c
		;;
	--without) echo fold number thread sets header merge checks dead hoist ;;
	-Q | --direction) echo in out inout ;;
	--format) echo pcap pcap-ns pcapng ;;
	--compress) echo zstd zstd:1 zstd:9 zstd:19 ;;
	--user) compgen -u ;;
	-B | --buffer) echo 1M 4M 16M 64M 256M 1G ;;
	*) return 1 ;;
	esac
}

_npf_options()
{
	case $1 in
	list) echo --json --follow --help ;;
	run) echo --trace --drop-rights --help ;;
	capture)
		echo --interface --no-promiscuous --direction --hook --read --write --force --nano --micro \
			--packet-buffered --link-header --hex --quiet --count --snaplen --buffer \
			--min-to-copy --timeout --immediate --hosts --nets --ports --help
		;;
	stat) echo --interface --no-promiscuous --interval --count --once --json --hook --help ;;
	send)
		echo --interface --hex --file --raw --force --pad --set --seed --checksums --repeat --rate \
			--duration --path --no-loopback --late --json --help
		;;
	replay)
		echo --interface --multiplier --pps --mbps --topspeed --loop --limit --preload --cut \
			--duration --force --path --no-loopback --late --json --help
		;;
	doctor) echo --interface --json --help ;;
	dump)
		echo --interface --write --no-promiscuous --direction --hook --snaplen --buffer \
			--format --compress --buffered --force --user --count --max-size --duration \
			--rotate-size --rotate-time --rotate-packets --files --quiet --interval \
			--json --help
		;;
	repair) echo --check --output --rename --force --json --help ;;
	filter) echo --count --invert --quiet --force --hosts --nets --ports --help ;;
	bpf) echo --stage --all --passes --without --graph --check --link-type --program --json --help ;;
	esac
}

_npf()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} values

	COMPREPLY=()
	if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ $before == help ]]; }; then
		mapfile -t COMPREPLY < <(compgen -W 'list capture stat send replay dump repair filter bpf run \
			doctor help' -- "$word")
		return
	fi
	case $before in
	-w | --write | -r | --read | --file | --raw | --hosts | --nets | --ports | --graph | --check | -F | \
		--program | filter)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	esac
	if [[ ${COMP_WORDS[1]} == repair && $word != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	elif values=$(_npf_values "$before"); then
		mapfile -t COMPREPLY < <(compgen -W "$values" -- "$word")
	elif [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_npf_options "${COMP_WORDS[1]}")" -- "$word")
	elif [[ ${COMP_WORDS[1]} == @(replay|filter) ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}

complete -F _npf npf
