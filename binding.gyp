{
  # Flags are stated here in full because gyp inherits Node's own and cmake-js inherits none.
  # nodelete: our threads still stand in the library when a worker that loaded it ends.
  # No -ffast-math anywhere: at link time it would switch denormals off for all of JavaScript.
  # From the environment: POLYADIC_SANITIZE=address,undefined (or thread) builds with sanitizers.
  'variables': {
    'sanitize%': '<!(node native/list.cjs option sanitize)',
    'kernel_flags': ['-fno-math-errno', '-fno-trapping-math', '-ffp-contract=fast']
  },
  'target_defaults': {
    'cflags!': ['-fno-exceptions'],
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++17', '-fexceptions', '-frtti', '-O3', '-fvisibility=hidden', '-fPIC',
      '-Wall', '-Wextra', '-Wno-missing-field-initializers'],
    'xcode_settings': {
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
      'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
      'GCC_ENABLE_CPP_RTTI': 'YES',
      'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
      'GCC_OPTIMIZATION_LEVEL': '3',
      'MACOSX_DEPLOYMENT_TARGET': '12.0'
    },
    'msvs_settings': { 'VCCLCompilerTool': { 'ExceptionHandling': 1, 'RuntimeTypeInfo': 'true', 'AdditionalOptions': ['/std:c++17'] } },
    'conditions': [
      ["target_arch=='x64'", { 'defines': ['POLYADIC_X64_KERNELS'] }],
      # AMX has to be asked for, and only Linux is asked.
      ["target_arch=='x64' and OS=='linux'", { 'defines': ['POLYADIC_AMX_KERNELS'] }],
      ["sanitize!='none'", {
        'cflags_cc': ['-fsanitize=<(sanitize)', '-fno-sanitize-recover=undefined', '-fno-omit-frame-pointer', '-g', '-O1'],
        'ldflags': ['-fsanitize=<(sanitize)']
      }]
    ]
  },
  'targets': [
    {
      'target_name': 'polyadic',
      'sources': ['<!@(node native/list.cjs sources plan binding)'],
      'cflags_cc': ['<!@(node native/list.cjs optimise)'],
      'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
      'defines': [
        'NAPI_VERSION=9',
        'NODE_ADDON_API_CPP_EXCEPTIONS_ALL',
        'NODE_ADDON_API_DISABLE_DEPRECATED',
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'
      ],
      'dependencies': ['engine', 'kernels_scalar', 'kernels_bf16_scalar'],
      'conditions': [
        ["target_arch=='x64'", { 'dependencies': ['kernels_avx2', 'kernels_avx512', 'kernels_bf16_avx512'] }],
        ["target_arch=='x64' and OS=='linux'", { 'dependencies': ['kernels_bf16_amx'] }],
        ["OS=='linux'", {
          'cflags_cc': ['-pthread'],
          'ldflags': ['-pthread', '-Wl,-z,nodelete', '-Wl,--exclude-libs,ALL', '-Wl,--version-script=<(module_root_dir)/native/exports.map']
        }]
      ]
    },
    {
      'target_name': 'engine',
      'type': 'static_library',
      'sources': ['<!@(node native/list.cjs sources core ops solver)'],
      'conditions': [["OS=='linux'", { 'cflags_cc': ['-pthread'] }]]
    },
    {
      'target_name': 'kernels_scalar',
      'type': 'static_library',
      'sources': ['<!@(node native/list.cjs kernels scalar)'],
      'cflags_cc': ['<@(kernel_flags)']
    },
    {
      'target_name': 'kernels_bf16_scalar',
      'type': 'static_library',
      'sources': ['<!@(node native/list.cjs kernels bf16_scalar)'],
      'cflags_cc': ['<@(kernel_flags)']
    }
  ],
  'conditions': [
    ["target_arch=='x64'", {
      'targets': [
        {
          'target_name': 'kernels_avx2',
          'type': 'static_library',
          'sources': ['<!@(node native/list.cjs kernels avx2)'],
          'cflags_cc': ['<@(kernel_flags)', '<!@(node native/list.cjs gcc avx2)'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['<!@(node native/list.cjs gcc avx2)'] },
          'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['<!@(node native/list.cjs msvc avx2)'] } }
        },
        {
          'target_name': 'kernels_avx512',
          'type': 'static_library',
          'sources': ['<!@(node native/list.cjs kernels avx512)'],
          'cflags_cc': ['<@(kernel_flags)', '<!@(node native/list.cjs gcc avx512)'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['<!@(node native/list.cjs gcc avx512)'] },
          'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['<!@(node native/list.cjs msvc avx512)'] } }
        },
        {
          'target_name': 'kernels_bf16_avx512',
          'type': 'static_library',
          'sources': ['<!@(node native/list.cjs kernels bf16_avx512)'],
          'cflags_cc': ['<@(kernel_flags)', '<!@(node native/list.cjs gcc bf16_avx512)'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['<!@(node native/list.cjs gcc bf16_avx512)'] },
          'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['<!@(node native/list.cjs msvc bf16_avx512)'] } }
        }
      ]
    }],
    ["target_arch=='x64' and OS=='linux'", {
      'targets': [
        {
          'target_name': 'kernels_bf16_amx',
          'type': 'static_library',
          'sources': ['<!@(node native/list.cjs kernels bf16_amx)'],
          'cflags_cc': ['<@(kernel_flags)', '<!@(node native/list.cjs gcc bf16_amx)']
        }
      ]
    }]
  ]
}
