using System.Reflection;
using System.Runtime.InteropServices;
using SQLitePCL;

namespace DarkStorage.Sqlite;

/// <summary>Chooses the native SQLite once per process, for the index and for queries alike: the system's where it is newer than the one the package brings (docs/adr/0003-sqlite.md).</summary>
public static class SqliteLibrary
{
    /// <summary>What the package brings: 3.35.5.</summary>
    private const int BundledVersion = 3_035_005;

    private static readonly Lazy<string> LoadedVersion = new(Load);

    /// <summary>Loads the library. Repeated calls cost nothing.</summary>
    /// <returns>Its version, "3.40.1".</returns>
    public static string EnsureLoaded() => LoadedVersion.Value;

    private static string Load()
    {
        NativeLibrary.SetDllImportResolver(typeof(SQLite3Provider_e_sqlite3).Assembly, Resolve);
        Batteries_V2.Init();
        return raw.sqlite3_libversion().utf8_to_string();
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? search)
    {
        if (name == "e_sqlite3" && OperatingSystem.IsLinux() && NativeLibrary.TryLoad("libsqlite3.so.0", out var system))
        {
            if (VersionOf(system) > BundledVersion) return system;
            NativeLibrary.Free(system);
        }
        return NativeLibrary.Load(name, assembly, search);
    }

    private static unsafe int VersionOf(nint library) =>
        NativeLibrary.TryGetExport(library, "sqlite3_libversion_number", out var function) ? ((delegate* unmanaged<int>)function)() : 0;
}
