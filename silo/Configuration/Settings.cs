using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Options;

namespace DarkStorage.Silo.Configuration;

/// <summary>Sections of the configuration as checked records.</summary>
internal static class Settings
{
    /// <exception cref="FormatException">A value is no such value, or out of bounds.</exception>
    public static T Read<T>(IConfiguration configuration, string section) where T : class, new()
    {
        T options;
        try
        {
            options = configuration.GetSection(section).Get<T>() ?? new T();
        }
        catch (InvalidOperationException e)
        {
            throw new FormatException($"The settings of {section}: {e.Message}", e);
        }
        var problems = new List<ValidationResult>();
        if (Validator.TryValidateObject(options, new(options), problems, validateAllProperties: true)) return options;
        throw new FormatException($"The settings of {section}: {string.Join(' ', problems.Select(p => p.ErrorMessage))}");
    }

    /// <summary>Adds a section as <see cref="IOptions{TOptions}"/>.</summary>
    public static void Add<T>(IHostApplicationBuilder builder, string section) where T : class, new() =>
        builder.Services.AddSingleton(Options.Create(Read<T>(builder.Configuration, section)));
}
