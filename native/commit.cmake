# Writes the commit that SOURCES are to TARGET, or nothing where that is not known: cmake -P.
#
# An archive of a commit, and thus a release, has it in commit.txt (.gitattributes); a checkout is asked.
file(READ ${SOURCES}/native/commit.txt commit LIMIT 256)
string(STRIP "${commit}" commit)
if(commit MATCHES "^[0-9a-f]+$")
  string(SUBSTRING ${commit} 0 12 commit)
else()
  set(commit "")
  # The sources may lie unpacked in another project's checkout.
  if(EXISTS ${SOURCES}/.git)
    # Root may build the checkout of a user.
    execute_process(COMMAND git -c safe.directory=${SOURCES} -C ${SOURCES} describe --always --dirty --abbrev=12 --exclude=*
                    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE code)
    if(NOT code EQUAL 0)
      set(commit "")
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${TARGET} CONTENT "${commit}\n" @ONLY)
