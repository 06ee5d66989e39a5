# SPDX-License-Identifier: GPL-2.0-or-later
# Of what is packaged: the same whatever the umask of who builds.
execute_process(COMMAND chmod -R u=rwX,go=rX ${CPACK_TEMPORARY_INSTALL_DIRECTORY} COMMAND_ERROR_IS_FATAL ANY)
