# SPDX-License-Identifier: GPL-2.0-or-later
# Install rules and cpack: two packages as .deb and .rpm, vmcorectl for the host and vmcore-guest for guests,
# and a relocatable tarball of both (`cpack -G DEB`, RPM, TGZ). The .deb for an archive is made by debian/rules, of the same
# install rules and scripts.
include(GNUInstallDirs)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# Compressed as Debian's policy has it, without a time.
function(install_compressed component file destination name)
  set(_output ${CMAKE_BINARY_DIR}/packages/${component}/${name}.gz)
  add_custom_command(OUTPUT ${_output} COMMAND gzip -9cn ${file} > ${_output}
                     DEPENDS ${file} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} VERBATIM)
  install(FILES ${_output} DESTINATION ${destination} COMPONENT ${component})
  set_property(GLOBAL APPEND PROPERTY packaged_files ${_output})
endfunction()

# What each package has of its documents: its licence, its changes, and its bill of materials (SPDX).
function(install_documents component package)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/packages/${component})
  set(_bill ${CMAKE_BINARY_DIR}/packages/${component}/${package}.spdx.json)
  add_custom_command(OUTPUT ${_bill} VERBATIM WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
                     COMMAND Python3::Interpreter cmake/sbom.py ${PROJECT_VERSION} ${component} docs/third-party-notices.md ${_bill}
                     DEPENDS cmake/sbom.py docs/third-party-notices.md)
  set_property(GLOBAL APPEND PROPERTY packaged_files ${_bill})
  install(FILES docs/third-party-notices.md debian/copyright ${_bill}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component})
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/${package} COMPONENT ${component})
  install_compressed(${component} CHANGELOG.md ${CMAKE_INSTALL_DATADIR}/doc/${package} changelog)
endfunction()

install(TARGETS vmcorectl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT host)
# vmcorectl looks for it in ../libexec/vmcorectl, wherever the tree was moved (src/sandbox/worker.h).
install(TARGETS vmcore-worker vmcore-holder vmcore-guardian RUNTIME DESTINATION libexec/vmcorectl COMPONENT host)
install_compressed(host docs/man/vmcorectl.1 ${CMAKE_INSTALL_MANDIR}/man1 vmcorectl.1)
foreach(program vmcorectl vmcored)
  install(FILES src/command/completion.bash
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ${program} COMPONENT host)
endforeach()
install(DIRECTORY docs/schema DESTINATION ${CMAKE_INSTALL_DATADIR}/vmcorectl COMPONENT host)
install(FILES README.md docs/automatic.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT host)
install_documents(host vmcorectl)

# The service: installed, and enabled by nobody but the administrator (src/daemon/system/vmcored.preset). systemd looks for
# its files in lib, on 64-bit machines too; the unit names the program by its path.
set(_system src/daemon/system)
install(TARGETS vmcored RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR} COMPONENT host)
if(TARGET vmcore-guardian)
  install(TARGETS vmcore-guardian RUNTIME DESTINATION libexec/vmcorectl COMPONENT host)
endif()
install(FILES ${_system}/vmcored.service ${_system}/vmcored-give-back.service
        DESTINATION lib/systemd/system COMPONENT host)
install(FILES ${_system}/vmcored.preset
        DESTINATION lib/systemd/system-preset RENAME 90-vmcored.preset COMPONENT host)
install(FILES ${_system}/sysusers.conf DESTINATION lib/sysusers.d RENAME vmcorectl.conf COMPONENT host)
install(FILES ${_system}/tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME vmcorectl.conf COMPONENT host)
install(FILES src/config/vmcored.conf DESTINATION /etc/vmcorectl COMPONENT host)
install_compressed(host docs/man/vmcored.8 ${CMAKE_INSTALL_MANDIR}/man8 vmcored.8)
install_compressed(host docs/man/vmcored.conf.5 ${CMAKE_INSTALL_MANDIR}/man5 vmcored.conf.5)
install(DIRECTORY examples/analysis examples/ansible examples/apparmor examples/automatic examples/hooks examples/prometheus
                  examples/sos
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples USE_SOURCE_PERMISSIONS COMPONENT host
        PATTERN __pycache__ EXCLUDE)

install(TARGETS vmcore-guest RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR} COMPONENT guest)
if(TARGET vmcore-guest-init)  # the capture image's /init
  install(TARGETS vmcore-guest-init RUNTIME DESTINATION libexec/vmcore-guest COMPONENT guest)
endif()
install_compressed(guest docs/man/vmcore-guest.8 ${CMAKE_INSTALL_MANDIR}/man8 vmcore-guest.8)
install(FILES src/command/completion.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME vmcore-guest COMPONENT guest)
install_documents(guest vmcore-guest)

get_property(_packaged GLOBAL PROPERTY packaged_files)
add_custom_target(packaged_files ALL DEPENDS ${_packaged})

set(CPACK_GENERATOR DEB RPM TGZ)
set(CPACK_COMPONENTS_ALL host guest)
set(CPACK_PACKAGE_NAME vmcorectl)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_VENDOR "The vmcorectl authors")
set(CPACK_PACKAGE_CONTACT "The vmcorectl authors <vmcorectl@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_COMPONENT_HOST_DESCRIPTION
    "vmcorectl turns a crashed, hung or running KVM guest into a small vmcore\nthat crash and drgn open. Its service keeps the crashes of all guests of a\nhost by itself; it is installed, and not enabled.")
set(_guest_summary "Saves the crashes of a KVM guest")
set(CPACK_COMPONENT_GUEST_DESCRIPTION
    "vmcore-guest sets a KVM guest up to save its own crashes, to its host or to\na disk.")
set(CPACK_PACKAGE_FILE_NAME "vmcorectl-${PROJECT_VERSION}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/packages/modes.cmake)
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_CURRENT_SOURCE_DIR}/LICENSE)
set(_scripts ${CMAKE_CURRENT_LIST_DIR}/packages)
# cpack takes debian's scripts by these names.
foreach(script postinst prerm postrm)
  configure_file(debian/vmcorectl.${script} packages/host/${script} COPYONLY)
endforeach()
foreach(script postinst prerm)
  configure_file(debian/vmcore-guest.${script} packages/guest/${script} COPYONLY)
endforeach()
set(_debian ${CMAKE_BINARY_DIR}/packages)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_HOST_PACKAGE_NAME vmcorectl)
set(CPACK_DEBIAN_HOST_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_HOST_PACKAGE_CONTROL_EXTRA
    ${_debian}/host/postinst ${_debian}/host/prerm ${_debian}/host/postrm ${_scripts}/host/conffiles)
set(CPACK_DEBIAN_GUEST_PACKAGE_NAME vmcore-guest)  # static: depends on nothing
set(CPACK_DEBIAN_GUEST_DESCRIPTION "${_guest_summary}\n${CPACK_COMPONENT_GUEST_DESCRIPTION}")
set(CPACK_DEBIAN_GUEST_PACKAGE_CONTROL_EXTRA ${_debian}/guest/postinst ${_debian}/guest/prerm)

set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE GPL-2.0-or-later)
# With $SOURCE_DATE_EPOCH two builds are equal.
set(CPACK_RPM_SPEC_MORE_DEFINE "%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1
%global _buildhost localhost")
set(CPACK_RPM_HOST_PACKAGE_NAME vmcorectl)
set(CPACK_RPM_HOST_USER_FILELIST "%config(noreplace) /etc/vmcorectl/vmcored.conf")
set(CPACK_RPM_HOST_POST_INSTALL_SCRIPT_FILE ${_scripts}/host/rpm_post)
set(CPACK_RPM_HOST_PRE_UNINSTALL_SCRIPT_FILE ${_scripts}/host/rpm_preun)
set(CPACK_RPM_HOST_POST_UNINSTALL_SCRIPT_FILE ${_scripts}/host/rpm_postun)
set(CPACK_RPM_GUEST_PACKAGE_NAME vmcore-guest)
set(CPACK_RPM_GUEST_PACKAGE_SUMMARY ${_guest_summary})
set(CPACK_RPM_GUEST_POST_INSTALL_SCRIPT_FILE ${_scripts}/rpm_post)
set(CPACK_RPM_GUEST_PRE_UNINSTALL_SCRIPT_FILE ${_scripts}/rpm_preun)
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION
    /usr/share/licenses /usr/sbin /usr/share/man /usr/share/man/man1 /usr/share/man/man5 /usr/share/man/man8 /usr/libexec
    /usr/share/bash-completion /usr/share/bash-completion/completions /usr/lib/systemd /usr/lib/systemd/system
    /usr/lib/systemd/system-preset /usr/lib/sysusers.d /usr/lib/tmpfiles.d)
include(CPack)
